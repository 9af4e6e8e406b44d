"""The HTTP port by itself, with a certificate."""

import asyncio
import ssl
from pathlib import Path

import pytest
from tornado.web import Application

from clients.process import replaced
from clients.process.listen import Address, bind
from clients.process.tls import KeyFiles
from controlplane.web.server import WebServer
from tests.fakes.waiting import until
from tests.servers.certificates import Authority


async def test_a_renewed_certificate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is shown soon, though nobody looked at the files for the gRPC port meanwhile."""
    monkeypatch.setattr(replaced, "_LOOK", 0.02)
    authority = Authority()
    pair = authority.issue(tmp_path, "127.0.0.1")
    server = WebServer(Application([]), KeyFiles("PENSTOCK_TLS", pair.certificate, pair.key).served())
    sockets = bind(Address("127.0.0.1", 0), "PENSTOCK_HTTP_LISTEN")
    address = sockets[0].getsockname()
    server.start(sockets)
    try:
        before = pair.certificate.read_text()
        assert await asyncio.to_thread(ssl.get_server_certificate, address) == before
        # Into the files of the first one.
        authority.issue(tmp_path, "127.0.0.1")

        async def is_renewed() -> bool:
            shown = await asyncio.to_thread(ssl.get_server_certificate, address)
            return shown == pair.certificate.read_text() != before

        await until(is_renewed)
    finally:
        await server.stop()
