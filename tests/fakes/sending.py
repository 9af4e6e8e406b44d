"""How a fake registry puts an answer on the wire, faults included."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from tests.fakes.blobs import CHUNK, Blob, BytesBlob
from tests.fakes.faults import Fault

if TYPE_CHECKING:
    from tests.fakes.registry import Request

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Answer:
    """What the registry would answer if nothing went wrong."""

    status: int
    content: Blob
    headers: dict[str, str] = field(default_factory=dict)
    # Whether a Range header counts.
    ranges: bool = False


async def send(request: web.BaseRequest, fault: Fault, answer: Answer, seen: "Request") -> web.StreamResponse:
    """Sends an answer as the fault changes it, and keeps count in `seen`."""
    await asyncio.sleep(fault.delay)
    if fault.stall:
        await asyncio.Event().wait()
    if fault.drop:
        _hang_up(request)
        return web.Response()
    response, start, stop = _head(request, fault, answer)
    seen.status = response.status
    await response.prepare(request)
    if request.method != "HEAD":
        try:
            for piece in _pieces(answer.content, fault, start, stop):
                await _hold(fault, seen.sent)
                await response.write(piece)
                seen.sent += len(piece)
                if fault.rate:
                    await asyncio.sleep(len(piece) / fault.rate)
            await _hold(fault, seen.sent)
            if not fault.breaks_framing:
                await response.write_eof()
        except ConnectionError:
            # The client has left, which is its right.
            return response
    if fault.breaks_framing:
        _hang_up(request)
    return response


def _head(request: web.BaseRequest, fault: Fault, answer: Answer) -> tuple[web.StreamResponse, int, int]:
    # The response without its body, and which bytes of the content follow.
    if fault.redirect:
        return web.Response(status=fault.redirect_status, headers={"Location": _target(request, fault)}), 0, 0
    if fault.body is not None:
        answer.content = BytesBlob(fault.body)
    elif fault.status is not None:
        answer.content = BytesBlob(b'{"errors": [{"code": "UNKNOWN", "message": "as scripted"}]}')
    status, headers = fault.status or answer.status, dict(answer.headers)
    start, stop = 0, answer.content.size
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if answer.ranges and asked and status == 200 and not fault.ignore_range:
        start, stop = int(asked[1]), min(stop, int(asked[2]) + 1 if asked[2] else stop)
        if start >= stop:
            status, start, stop = 416, 0, 0
            headers["Content-Range"] = f"bytes */{answer.content.size}"
        else:
            status = 206
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{answer.content.size}"
    length = stop - start if fault.content_length is None else fault.content_length
    headers["Content-Length"] = str(length)
    for name, value in fault.headers.items():
        headers.pop(name, None)
        if value is not None:
            headers[name] = value
    response = web.StreamResponse(status=status, headers=headers)
    if fault.breaks_framing:
        response.force_close()
    return response, start, stop


def _target(request: web.BaseRequest, fault: Fault) -> str:
    has_path = "/" in fault.redirect.partition("://")[2]
    return fault.redirect if has_path else fault.redirect + request.raw_path


def _pieces(content: Blob, fault: Fault, start: int, stop: int) -> Iterator[bytes]:
    # Ends a piece where the fault wants something to happen.
    at = start
    for chunk in content.read(start, stop):
        marks = [mark for mark in (fault.cut_after, fault.pause_after) if mark is not None]
        step = CHUNK if fault.rate is None else max(int(fault.rate / 20), 1)
        offset = 0
        while offset < len(chunk):
            done = at + offset - start
            size = min([step, len(chunk) - offset, *(mark - done for mark in marks if mark > done)])
            if fault.cut_after is not None and done >= fault.cut_after:
                return
            piece = chunk[offset : offset + size]
            flip = -1 if fault.corrupt_at is None else fault.corrupt_at - at - offset
            if 0 <= flip < size:
                piece = piece[:flip] + bytes([piece[flip] ^ 0xFF]) + piece[flip + 1 :]
            yield piece
            offset += size
        at += len(chunk)


async def _hold(fault: Fault, sent: int) -> None:
    if fault.pause_after is not None and sent >= fault.pause_after:
        await (fault.gate or asyncio.Event()).wait()


def _hang_up(request: web.BaseRequest) -> None:
    # What was written is still sent.
    if request.transport is not None:
        request.transport.close()
