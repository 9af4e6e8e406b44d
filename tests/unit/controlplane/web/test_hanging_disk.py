"""The HTTP server of the control plane, whose certificate is on a disk that hangs."""

import asyncio
import os
import ssl
from contextlib import closing
from pathlib import Path

import pytest
from tornado.web import Application

from clients.process import replaced
from clients.process.listen import Address, bind
from clients.process.tls import KeyFiles
from controlplane.web.server import WebServer
from tests.fakes.waiting import until
from tests.servers.certificates import Authority


async def _shown(port: int, context: ssl.SSLContext) -> bytes:
    """Asks for something, and gives the certificate that came with the answer."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 404 " in await reader.readline()
        certificate: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
    return certificate


async def test_a_certificate_on_a_disk_that_hangs_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read before is shown meanwhile, and what replaced it once the disk answers again."""
    monkeypatch.setattr(replaced, "_LOOK", 0.02)
    authority = Authority()
    pair, renewed = (authority.issue(tmp_path, host, "127.0.0.1") for host in ("old.test", "new.test"))
    server = WebServer(Application(), KeyFiles("PENSTOCK_TLS", pair.certificate, pair.key).served())
    (listening,) = bind(Address("127.0.0.1", 0), "PENSTOCK_HTTP_LISTEN")
    with closing(listening):
        server.start([listening])
        port = listening.getsockname()[1]
        before = await _shown(port, authority.client_context())
        # A file that is opened by nobody, and so by nobody who reads it.
        hanging = tmp_path / "hanging"
        os.mkfifo(hanging)
        (tmp_path / "link").hardlink_to(hanging)
        hanging.replace(pair.certificate)
        await asyncio.sleep(0.1)

        assert await _shown(port, authority.client_context()) == before

        renewed.key.replace(pair.key)
        renewed.certificate.replace(pair.certificate)
        (tmp_path / "link").open("wb").close()

        async def is_renewed() -> bool:
            return await _shown(port, authority.client_context()) != before

        await until(is_renewed)
        await server.stop()
