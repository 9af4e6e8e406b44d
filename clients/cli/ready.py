"""Asks a process whether it is ready, the way a load balancer would."""

import asyncio
import ssl
from typing import Final

from clients.process.listen import Address

_TIMEOUT: Final = 2.0
_STATUS_LINE_LIMIT: Final = 1024


async def is_ready(address: Address, *, tls: bool = False) -> bool:
    """Whether `GET /readyz` there, by https or not, is answered with 200 within two seconds."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            return await _ask(address, _unverified() if tls else None)
    except (OSError, TimeoutError, ValueError):
        return False


async def _ask(address: Address, context: ssl.SSLContext | None) -> bool:
    reader, writer = await asyncio.open_connection(
        address.host, address.port, ssl=context, limit=_STATUS_LINE_LIMIT
    )
    try:
        writer.write(f"GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
        status_line = await reader.readline()
    finally:
        writer.close()
    return status_line.split()[1:2] == [b"200"]


def _unverified() -> ssl.SSLContext:
    # It is this machine, and is told nothing.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
