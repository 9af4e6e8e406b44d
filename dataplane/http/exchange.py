"""One request and its answer on a Tornado connection: limits, framing, back-pressure, disconnects."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http.client import responses
from time import time
from typing import Final

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError

from dataplane.http.errors import Code, Refusal
from dataplane.http.failures import FAILURES
from dataplane.http.message import Answer, Request

_LOG = logging.getLogger(__name__)

MAX_HEADER_BYTES: Final = 32 << 10
MAX_TARGET_BYTES: Final = 8 << 10
# A body is read and thrown away up to this size, so that the answer finds a client that listens and
# the connection can be used again. A manifest is at most this large.
_MOST_BODY_BYTES: Final = 4 << 20

_INCOMPLETE: Final = Refusal(Code.UNSUPPORTED, "The request is not complete.", status=400)

Answerer = Callable[[Request], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Service:
    """What all exchanges of a server share."""

    answer: Answerer
    sent: Callable[[int], None]
    """Is told of body bytes that were handed to the kernel."""
    active: set[asyncio.Task[None]]
    """The exchanges that are being answered."""
    stall: float
    """Seconds that a client may take to accept one chunk."""


class Exchange(HTTPMessageDelegate):
    """Reads a request, has it answered in a task of its own, and sends the answer as fast as it is taken."""

    def __init__(self, service: Service, connection: HTTP1Connection) -> None:
        self._service = service
        self._connection = connection
        self._task: asyncio.Task[None] | None = None
        self._method = ""
        self._request: Request | Refusal = _INCOMPLETE

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Take the request line and headers; answers at once where the body is better not sent."""
        assert isinstance(start_line, RequestStartLine)  # noqa: S101 - a server gets requests
        self._method = start_line.method
        self._request = _read(start_line, headers)
        if isinstance(self._request, Refusal) or _is_too_large(headers):
            # Tornado then closes the connection behind the answer, and reads until it is sent.
            self._connection.set_max_body_size(1 << 62)
            return self._start(close=True)
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

    def on_connection_close(self) -> None:
        """Note that the client left before its request was complete."""
        self._leave()

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
        try:
            answer = await self._answer()
            try:
                await self._send(answer, close=close)
            finally:
                if not isinstance(answer.body, bytes):
                    await answer.body.close()
        except StreamClosedError:
            # The client left; that is its right.
            pass
        except TimeoutError:
            _LOG.info("A client took nothing for %g s: its connection is cut.", self._service.stall)
            connection.close()
        except FAILURES as failure:
            # Too late for a status: a body that ends early tells the client, which knows the length.
            _LOG.warning("A transfer is cut short: %s", failure)
            connection.close()
        except Exception:  # noqa: BLE001 - the last to hear of it, and it is logged
            _LOG.exception("A transfer is cut short.")
            connection.close()

    async def _answer(self) -> Answer:
        if isinstance(self._request, Request):
            return await self._service.answer(self._request)
        return self._request.answer()

    async def _send(self, answer: Answer, *, close: bool) -> None:
        start_line = ResponseStartLine("HTTP/1.1", answer.status, responses.get(answer.status, "Unknown"))
        await self._sent(self._connection.write_headers(start_line, _headers(answer, close=close)))
        if self._method != "HEAD" and answer.status != 304:
            await self._send_body(answer)
        self._connection.finish()

    async def _send_body(self, answer: Answer) -> None:
        if isinstance(answer.body, bytes):
            if answer.body:
                await self._sent(self._connection.write(answer.body))
            self._service.sent(len(answer.body))
            return
        while (chunk := await answer.body.read()) is not None:
            # Tornado's annotation knows bytes only; its streams take a memoryview as it is.
            await self._sent(self._connection.write(chunk))  # type: ignore[arg-type]
            self._service.sent(len(chunk))

    async def _sent(self, written: Awaitable[None]) -> None:
        async with asyncio.timeout(self._service.stall):
            await written


def _read(start_line: RequestStartLine, headers: HTTPHeaders) -> Request | Refusal:
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
        if_none_match=headers.get("If-None-Match", ""),
    )


def _is_too_large(headers: HTTPHeaders) -> bool:
    # A client that expects 100-continue has not sent its body yet, and need not.
    if "Expect" in headers or "Transfer-Encoding" in headers:
        return True
    length = headers.get("Content-Length", "0")
    return length.isdecimal() and int(length[:20]) > _MOST_BODY_BYTES


def _headers(answer: Answer, *, close: bool) -> HTTPHeaders:
    headers = HTTPHeaders()
    for name, value in answer.headers:
        headers.add(name, value)
    if answer.status != 304:
        headers["Content-Length"] = str(answer.length)
    headers["Date"] = _date(int(time()))
    # What was asked for is data, never a page to be guessed at.
    headers["X-Content-Type-Options"] = "nosniff"
    if close:
        headers["Connection"] = "close"
    return headers


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
