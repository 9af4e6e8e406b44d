"""An HTTP server around a function from requests to answers: Tornado's connections, without its framework."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from tornado.http1connection import HTTP1ConnectionParameters

from clients.process.listener import Listener
from clients.process.networks import unmapped
from clients.process.proxies import Proxies
from clients.process.replaced import Replaced
from clients.process.request_id import RequestIds
from clients.process.tls import Identity
from dataplane.descriptors import Descriptors
from dataplane.http.connection import Connection
from dataplane.http.exchange import MAX_HEADER_BYTES, MAX_TARGET_BYTES
from dataplane.http.introductions import Introductions
from dataplane.http.limits import Hits, Limits
from dataplane.http.sealed import SealedConnection
from dataplane.http.service import Answerer, Others, Quick, Service
from dataplane.http.sweep import Sweep
from dataplane.http.timings import Timings

_LOG = logging.getLogger(__name__)

_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
)
_NO_LIMITS: Final = Limits()


class Server:
    """Serves on sockets that listen already.

    `sent` is told of body bytes that were sent, `quick` may answer before `answer` is asked, `hits`
    counts what `limits` did. With `tls` everything is encrypted, each connection with the certificate
    that is current; none waits for a disk to tell. `ids` names requests whose clients gave no name; those
    that `quick` leaves alone begin traces if they are `traced`. `descriptors` is told when there are none
    left. With `others`, connections are shared evenly. `proxies` are believed whom they bring requests
    of; what they connect with begins with a header of the PROXY protocol if clients are `introduced`.
    """

    def __init__(
        self,
        answer: Answerer,
        sent: Callable[[int], None] = lambda _: None,
        *,
        limits: Limits = _NO_LIMITS,
        hits: Hits | None = None,
        quick: Quick | None = None,
        tls: Replaced[Identity] | None = None,
        ids: RequestIds | None = None,
        traced: bool = False,
        descriptors: Descriptors | None = None,
        others: Others | None = None,
        proxies: Proxies | None = None,
        introduced: bool = False,
    ) -> None:
        self._limits = limits
        self._hits = hits or Hits()
        self._tls = tls
        self._descriptors = descriptors or Descriptors()
        parameters = HTTP1ConnectionParameters(
            # Tornado hangs up without a word on what exceeds its own limit: ours, which answer, come first.
            max_header_size=2 * (MAX_HEADER_BYTES + MAX_TARGET_BYTES),
            header_timeout=limits.header if tls is None else limits.idle,
            body_timeout=limits.body,
        )
        self._service = Service(
            answer,
            sent,
            quick,
            parameters,
            self._hits,
            ids or RequestIds(),
            traced,
            others=others,
            proxies=proxies or Proxies(),
        )
        self._following: asyncio.Task[None] | None = None
        self._introduced = introduced
        self._introductions = Introductions(self._begin, limits.header, self._hits)
        self._sweep = Sweep(lambda: self._service.connections, limits, self._hits)
        self._listening: list[Listener] = []

    @property
    def active(self) -> int:
        """Requests that are being answered."""
        return len(self._service.active)

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return len(self._service.connections)

    @property
    def quick_answers(self) -> int:
        """Requests that were answered in front of the parser."""
        return self._service.quick_answers

    @property
    def timings(self) -> Timings:
        """How long the others took."""
        return self._service.timings

    def start(self, sockets: Iterable[socket.socket]) -> None:
        """Take over the sockets, and accept connections."""
        if self._tls is not None:
            self._following = asyncio.create_task(self._tls.follow(), name="certificate")
        for listener in sockets:
            self._listening.append(Listener(listener, self._accept, self._descriptors))
        if self._service.others is not None:
            self._service.others.start(self._serve)
        self._sweep.start()

    async def stop(self, drain: float) -> None:
        """Stop accepting, let what is being answered finish for up to `drain` seconds, close everything."""
        for listener in self._listening:
            listener.stop()
        self._listening.clear()
        service = self._service
        if service.others is not None:
            service.others.stop()
        service.quick = None
        service.parameters.no_keep_alive = True
        if service.active:
            _LOG.info("Waiting up to %g s for %d transfers to finish.", drain, len(service.active))
        await self._introductions.stop()
        deadline = asyncio.get_running_loop().time() + drain
        while service.active and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(service.active, timeout=left)
        if service.active:
            _LOG.warning("%d transfers were not finished in time and are cut.", len(service.active))
        await self.cut()
        while waited := service.active | service.serving:
            await asyncio.wait(waited)
        self._sweep.stop()
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)

    async def cut(self) -> None:
        """Close every connection now, in mid-transfer too."""
        for connection in list(self._service.connections):
            connection.close()

    def _accept(self, connection: socket.socket, address: Any) -> None:
        others = self._service.others
        if others is None or not others.give(connection):
            self._serve(connection, address)

    def _serve(self, connection: socket.socket, address: Any) -> None:
        if len(self._service.connections) + len(self._introductions) >= self._limits.connections:
            self._hits.connections += 1
            with suppress(OSError):
                if self._tls is None:
                    connection.send(_FULL)
            connection.close()
            return
        host = unmapped(str(address[0]))
        if self._introduced and self._service.proxies.trusts(host):
            self._introductions.begin(connection, host)
        else:
            self._begin(connection, host)

    def _begin(self, connection: socket.socket, host: str) -> None:
        try:
            if self._tls is None:
                Connection(connection, host, self._service).start()
            else:
                SealedConnection.accept(connection, self._tls.known, host, self._service).start()
        except OSError:
            # It was closed as soon as it was made.
            connection.close()
