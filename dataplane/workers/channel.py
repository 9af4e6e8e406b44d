"""What a worker and its supervisor say to each other, over a pair of sockets that nobody else can open.

Lines of JSON. The supervisor sends an empty object to ask for a report. A worker says once that it serves
(`{"ready": true}`), or why it cannot (`{"failure": "..."}`), and answers with reports. What workers say of
the configuration (`{"configuration": {...}}`, see `config.relay`) and of their disk (`{"trouble": "..."}`) is
passed on. What they noted of requests (`{"records": [...]}`) goes to the leading worker, which is told when
the others have ended (`{"alone": true}`). Either takes the end of the channel for the end of the other.
"""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final, Self

# A node's metrics are some ten KiB.
_LONGEST: Final = 16 << 20


class Channel:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def of(cls, end: socket.socket) -> Self:
        """Take over a socket."""
        return cls(*await asyncio.open_unix_connection(sock=end, limit=_LONGEST))

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; one to nobody is lost."""
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def received(self) -> AsyncIterator[dict[str, Any]]:
        """Give what comes, until the other end is gone."""
        try:
            while line := await self._reader.readline():
                yield json.loads(line)
        except (ConnectionError, ValueError):
            return

    async def close(self) -> None:
        """Let go of the socket."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


def encode(message: dict[str, Any]) -> bytes:
    """Give a message as it travels."""
    return json.dumps(message).encode() + b"\n"
