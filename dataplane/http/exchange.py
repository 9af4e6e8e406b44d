"""One request and its answer on a Tornado connection: limits, framing, back-pressure, disconnects."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from http.client import responses
from typing import Final

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError

from clients.process import proxies, tracing
from clients.process.request_id import HEADER, answering, well_formed
from dataplane.events.records import printable
from dataplane.http import transfer
from dataplane.http.errors import Code, Refusal
from dataplane.http.failures import FAILURES
from dataplane.http.head import head
from dataplane.http.message import METHODS, Answer, Request
from dataplane.http.service import Service

_LOG = logging.getLogger(__name__)

MAX_HEADER_BYTES: Final = 32 << 10
MAX_TARGET_BYTES: Final = 8 << 10
# A body is read and thrown away up to this size, so that the answer finds a client that listens and
# the connection can be used again. A manifest is at most this large.
_MOST_BODY_BYTES: Final = 4 << 20
# Characters of a path that a trace tells.
_MOST_PATH: Final = 512

_INCOMPLETE: Final = Refusal(Code.UNSUPPORTED, "The request is not complete.", status=400)


class Exchange(HTTPMessageDelegate):
    """Reads a request, has it answered in a task of its own, and sends the answer as fast as it is taken."""

    def __init__(self, service: Service, connection: HTTP1Connection) -> None:
        self._service = service
        self._connection = connection
        self._task: asyncio.Task[None] | None = None
        self._method = ""
        self._id = self._parent = ""
        self.begun = False
        """Whether the headers have come."""
        self.ends = False
        """Whether the client wants the connection to end with the answer."""
        self._request: Request | Refusal = _INCOMPLETE

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Take the request line and headers; answers at once where the body is better not sent."""
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - a server gets requests
        self._method = start_line.method
        given = headers.get_list(HEADER)
        self._id = (well_formed(given[0]) if len(given) == 1 else "") or self._service.ids.new().decode(
            "ascii"
        )
        parents = headers.get_list(tracing.HEADER)
        self._parent = parents[0] if len(parents) == 1 else ""
        self.begun = True
        self.ends = _wants_end(headers)
        peer, forwarded = str(self._connection.context), headers.get(proxies.HEADER, "")
        self._request = _read(start_line, headers, self._service.proxies.client(peer, forwarded))
        if isinstance(self._request, Refusal) and self._request.status in (414, 431):
            self._service.hits.large_header += 1
        if isinstance(self._request, Refusal) or _is_too_large(headers):
            # Tornado then closes the connection behind the answer, and reads until it is sent.
            self._connection.set_max_body_size(1 << 62)
            self._connection.stream.set_close_callback(self._leave)
            return _ended(self._start(close=True))
        return None

    def data_received(self, chunk: bytes) -> None:
        """Throw away a body; nothing here takes one."""

    def finish(self) -> None:
        """Answer: the request is complete."""
        # What a client sent behind a request whose answer was cut: nobody would get this one's.
        if self._connection.stream.closed():
            return
        self._connection.set_close_callback(self._leave)
        self._start(close=False)

    def _start(self, *, close: bool) -> asyncio.Task[None]:
        self._task = asyncio.create_task(self._run(close=close))
        self._service.active.add(self._task)
        self._task.add_done_callback(self._service.active.discard)
        return self._task

    def _leave(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self, *, close: bool) -> None:
        connection = self._connection
        with answering(self._id):
            try:
                with self._trace() as span:
                    await self._exchange(span, close=close)
            except StreamClosedError:
                # The client left; that is its right.
                pass
            except FAILURES as failure:
                # Too late for a status: a body that ends early tells the client, which knows the length.
                _LOG.warning("A transfer is cut short: %s", failure)
                connection.close()
            except Exception:  # noqa: BLE001 - the last to hear of it, and it is logged
                _LOG.exception("A transfer is cut short.")
                connection.close()

    def _trace(self) -> AbstractContextManager[tracing.Span]:
        if not self._service.traced:
            return tracing.NO_SPAN
        asked = {"http.request.method": self._traced_method}
        if isinstance(self._request, Request):
            asked["url.path"] = self._request.target.partition("?")[0][:_MOST_PATH]
        return tracing.begin_trace(self._traced_method, self._parent, asked)

    @property
    def _traced_method(self) -> str:
        # The name that OpenTelemetry has for all others.
        return self._method if self._method in METHODS else "_OTHER"

    async def _exchange(self, span: tracing.Span, *, close: bool) -> None:
        started, route = time.perf_counter(), "none"
        try:
            answer = await self._answer()
            route = answer.route
            span.name(f"{self._traced_method} {route}")
            span.set({"http.route": route, "http.response.status_code": answer.status})

            def begun() -> None:
                self._service.timings.began(route, time.perf_counter() - started)

            try:
                await self._send(answer, begun, close=close)
            finally:
                if not isinstance(answer.body, bytes):
                    await answer.body.close()
        finally:
            self._service.timings.ended(route, time.perf_counter() - started)

    async def _answer(self) -> Answer:
        if isinstance(self._request, Request):
            return await self._service.answer(self._request)
        return self._request.answer()

    async def _send(self, answer: Answer, begun: Callable[[], None], *, close: bool) -> None:
        connection, body = self._connection, answer.body
        start_line = ResponseStartLine("HTTP/1.1", answer.status, responses.get(answer.status, "Unknown"))
        headers = head(answer, self._id)
        if close or self.ends:
            headers["Connection"] = "close"
        if self._method == "HEAD" or answer.status == 304:
            await connection.write_headers(start_line, headers)
            begun()
        elif isinstance(body, bytes):
            await connection.write_headers(start_line, headers, body)
            begun()
            self._service.sent(len(body))
        else:
            sent = self._service.sent
            await transfer.send(connection, start_line, headers, body, sent, begun, answer.pace)
        connection.finish()


async def _ended(task: asyncio.Task[None]) -> None:
    # Tornado takes a cancellation for a mistake.
    await asyncio.wait((task,))


async def serve(stream: IOStream, service: Service, address: str) -> bool:
    """Have Tornado read one request, and answer it; gives whether the connection can take another.

    `address` is the IP address that the connection comes from.
    """
    connection = HTTP1Connection(stream, is_client=False, params=service.parameters, context=address)
    exchange, begun = Exchange(service, connection), asyncio.get_running_loop().time()
    try:
        again = await connection.read_response(exchange)
        if not (again or exchange.begun) and _is_late(begun, service.parameters.header_timeout):
            service.hits.slow_header += 1
        return again and not (exchange.ends or stream.closed())
    except (StreamClosedError, UnsatisfiableReadError):
        return False
    except Exception:  # noqa: BLE001 - the last to hear of it, and it is logged
        _LOG.exception("A connection is closed.")
        connection.close()
        return False


def _is_late(begun: float, limit: float | None) -> bool:
    return limit is not None and asyncio.get_running_loop().time() - begun >= limit


def _read(start_line: RequestStartLine, headers: HTTPHeaders, address: str) -> Request | Refusal:
    if len(start_line.path) > MAX_TARGET_BYTES:
        return Refusal(Code.UNSUPPORTED, f"The URL is longer than {MAX_TARGET_BYTES} bytes.", status=414)
    if sum(len(name) + len(value) + 4 for name, value in headers.get_all()) > MAX_HEADER_BYTES:
        return Refusal(Code.UNSUPPORTED, f"The headers are longer than {MAX_HEADER_BYTES} bytes.", status=431)
    # RFC 9112, section 3.2.
    if len(headers.get_list("Host")) != 1 and start_line.version != "HTTP/1.0":
        return Refusal(Code.UNSUPPORTED, "The request has no Host header, or several.", status=400)
    # One proxy may believe the one, another the other: the way requests are smuggled (section 6.1).
    if "Transfer-Encoding" in headers and "Content-Length" in headers:
        return Refusal(Code.UNSUPPORTED, "The request has two lengths.", status=400)
    return Request(
        method=start_line.method,
        target=start_line.path,
        authorization=headers.get("Authorization", ""),
        range=headers.get("Range", ""),
        if_range=headers.get("If-Range", ""),
        if_match=headers.get("If-Match", ""),
        if_none_match=headers.get("If-None-Match", ""),
        address=address,
        agent=printable(headers.get("User-Agent", "")),
    )


def _wants_end(headers: HTTPHeaders) -> bool:
    # Tornado knows the option only where it stands alone (RFC 9112, section 9.6).
    return "close" in (option.strip().lower() for option in headers.get("Connection", "").split(","))


def _is_too_large(headers: HTTPHeaders) -> bool:
    # A client that expects 100-continue has not sent its body yet, and need not.
    if "Expect" in headers or "Transfer-Encoding" in headers:
        return True
    length = headers.get("Content-Length", "0")
    return length.isdecimal() and int(length[:20]) > _MOST_BODY_BYTES
