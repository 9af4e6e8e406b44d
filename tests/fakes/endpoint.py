"""A small HTTP server in a thread of its own, which blocking and asynchronous tests can use alike.

It keeps all that it was sent, so that a test can tell what arrived, and what never did.
"""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from tests.fakes.secrets import occurs


@dataclass(frozen=True, slots=True)
class Received:
    """One request, as it came."""

    method: str
    # With the query.
    path: str
    headers: HTTPMessage
    body: bytes

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)

    @property
    def raw(self) -> bytes:
        """All of it, as one text."""
        return f"{self.method} {self.path}\n{self.headers}".encode() + self.body


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered; a body of several pieces is sent without a length, and may be endless."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Endpoint:
    """Answers on a free port of `host` while its context lasts; one connection for each request.

    `reply` is what it answers; subclasses override `answer` instead.
    """

    def __init__(
        self, *, host: str = "127.0.0.1", ssl_context: ssl.SSLContext | None = None, reply: Reply = Reply()
    ) -> None:
        self.reply = reply
        self.received: list[Received] = []
        self._host = host
        self._ssl_context = ssl_context
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._port = 0

    def answer(self, received: Received) -> Reply:
        """Gives the answer to one request; called in a thread of that request."""
        return self.reply

    @property
    def host(self) -> str:
        """Host and port."""
        return f"{self._host}:{self._port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._ssl_context else 'http'}://{self.host}"

    def saw(self, secret: str) -> bool:
        """Whether a secret arrived, in whatever form."""
        return any(occurs(secret, received.raw) for received in list(self.received))

    def __enter__(self) -> Self:
        self._server = _Server((self._host, self._port), self)
        self._port = self._server.server_address[1]
        if self._ssl_context is not None:
            # The handshake is made by the first read, in the request's own thread.
            self._server.socket = self._ssl_context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that does not trust the certificate, or has read enough, hangs up.
        pass


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
            super().handle_one_request()

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        received = Received(self.command, self.path, self.headers, body)
        self.server.endpoint.received.append(received)
        reply = self.server.endpoint.answer(received)
        self.send_response(reply.status)
        if isinstance(reply.body, bytes):
            self.send_header("Content-Length", str(len(reply.body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for piece in [reply.body] if isinstance(reply.body, bytes) else reply.body:
                self.wfile.write(piece)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        pass
