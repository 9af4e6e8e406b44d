"""An HTTP server around a function from requests to answers: Tornado's connections, without its framework."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Final

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPConnection, HTTPMessageDelegate, HTTPServerConnectionDelegate

from dataplane.http.exchange import MAX_HEADER_BYTES, MAX_TARGET_BYTES, Answerer, Exchange, Service
from dataplane.http.plain import PlainServer

_LOG = logging.getLogger(__name__)

# Seconds that a connection may be idle, or take to send its headers.
_IDLE: Final = 75.0
_BODY: Final = 60.0
_STALL: Final = 120.0


class Server(HTTPServerConnectionDelegate):
    """Serves on sockets that listen already; `stall` is the seconds a client may take to accept a chunk."""

    def __init__(
        self,
        answer: Answerer,
        sent: Callable[[int], None] = lambda _: None,
        *,
        idle: float = _IDLE,
        stall: float = _STALL,
    ) -> None:
        self._service = Service(answer, sent, set(), stall)
        # Tornado hangs up without a word on what exceeds its own limit: ours, which answer, come first.
        self._http = PlainServer(
            self,
            idle_connection_timeout=idle,
            body_timeout=_BODY,
            max_header_size=2 * (MAX_HEADER_BYTES + MAX_TARGET_BYTES),
        )

    @property
    def active(self) -> int:
        """Requests that are being answered."""
        return len(self._service.active)

    def start(self, sockets: Iterable[socket.socket]) -> None:
        """Take over the sockets, and accept connections."""
        self._http.add_sockets(sockets)

    async def stop(self, drain: float) -> None:
        """Stop accepting, let what is being answered finish for up to `drain` seconds, close everything."""
        self._http.stop()
        self._http.conn_params.no_keep_alive = True
        if self._service.active:
            _LOG.info("Waiting up to %g s for %d transfers to finish.", drain, len(self._service.active))
        deadline = asyncio.get_running_loop().time() + drain
        while self._service.active and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._service.active, timeout=left)
        if self._service.active:
            _LOG.warning("%d transfers were not finished in time and are cut.", len(self._service.active))
        await self.cut()
        while self._service.active:
            await asyncio.wait(self._service.active)

    async def cut(self) -> None:
        """Close every connection now, in mid-transfer too."""
        await self._http.close_all_connections()

    def start_request(
        self,
        server_conn: object,  # noqa: ARG002 - Tornado's interface
        request_conn: HTTPConnection,
    ) -> HTTPMessageDelegate:
        """See HTTPServerConnectionDelegate."""
        assert isinstance(request_conn, HTTP1Connection)  # noqa: S101 - the only kind that HTTPServer makes
        return Exchange(self._service, request_conn)
