"""The HTTP server, on sockets that clients wait at where there is no descriptor for them."""

import asyncio
import socket
from collections.abc import Collection, Iterable
from contextlib import ExitStack, suppress
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, SSLIOStream
from tornado.web import Application

from clients.process.descriptors import Shortage
from clients.process.listener import Listener
from clients.process.replaced import Replaced
from clients.process.tls import Identity
from controlplane.web.handler import UNDER_WAY

# Bytes; more than any request here needs.
_MAX_BODY: Final = 1 << 20
# Seconds.
_IDLE: Final = 75
# Seconds for requests that are under way at the end, as the gRPC port has it, and between two looks.
_GRACE: Final = 10.0
_LOOK: Final = 0.01


class WebServer:
    """Answers by an application on listening sockets, which it owns, from `start` to `stop`.

    With `tls` it speaks https only, and each connection gets the certificate that is current; no connection
    waits for a disk to tell.
    """

    def __init__(self, application: Application, tls: Replaced[Identity] | None = None) -> None:
        self._tls = tls
        self._under_way: Collection[object] = application.settings.get(UNDER_WAY, ())
        self._server = HTTPServer(application, max_body_size=_MAX_BODY, idle_connection_timeout=_IDLE)
        self._listening = ExitStack()
        self._following: asyncio.Task[None] | None = None

    def start(self, sockets: Iterable[socket.socket]) -> None:
        """Take connections."""
        # Tornado itself would ask for one again at once, and log that, as long as there is none.
        shortage = Shortage()
        if self._tls is not None:
            self._following = asyncio.create_task(self._tls.follow(), name="certificate")
        for listening in sockets:
            self._listening.callback(Listener(listening, self._take, shortage).stop)

    async def stop(self) -> None:
        """Take no more, give those that wait for an answer ten seconds, and close all."""
        self._listening.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                while self._under_way:  # noqa: ASYNC110 - handlers tell nobody
                    await asyncio.sleep(_LOOK)
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        await self._server.close_all_connections()

    def _take(self, connection: socket.socket, address: Any) -> None:
        if self._tls is None:
            stream = IOStream(connection)
        else:
            try:
                # The time-out of a first request counts the handshake as well.
                stream = SSLIOStream(self._tls.known.seal(connection))
            except OSError:
                # It was closed as soon as it was made.
                connection.close()
                return
        self._server.handle_stream(stream, address)
