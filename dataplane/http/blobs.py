"""Answers to requests for blobs (distribution specification, "Pulling blobs"; RFC 9110, section 14)."""

from collections.abc import AsyncGenerator, Awaitable, Callable

from clients.oci.digest import Digest
from dataplane.blobs.reader import BlobReader
from dataplane.http.errors import Code, Refusal
from dataplane.http.message import Answer, Headers, Request
from dataplane.http.ranges import Span, Unsatisfiable, is_unchanged, select

_MEDIA_TYPE = "application/octet-stream"


class BlobBody:
    """A Stream over part of a blob; owns the reader."""

    def __init__(self, reader: BlobReader, span: Span) -> None:
        self._reader = reader
        self._pieces = reader.read(span.start, span.stop)

    async def read(self) -> memoryview | None:
        """See Stream."""
        return await anext(self._pieces, None)

    async def close(self) -> None:
        """See Stream."""
        if isinstance(self._pieces, AsyncGenerator):
            await self._pieces.aclose()
        self._reader.close()


async def answer(
    request: Request, digest: Digest, size: int, open_reader: Callable[[], Awaitable[BlobReader]]
) -> Answer:
    """Answer GET or HEAD for a blob of `size` bytes; only a GET that needs bytes opens it.

    Returns once the first byte is there, so that what fails before it gets a status of its own. Raises
    Refusal, and what the reader raises.
    """
    etag = f'"{digest}"'
    headers: Headers = (
        ("Docker-Content-Digest", str(digest)),
        ("ETag", etag),
        ("Accept-Ranges", "bytes"),
    )
    if is_unchanged(request.if_none_match, etag):
        return Answer(304, headers)
    headers = (("Content-Type", _MEDIA_TYPE), *headers)
    if request.method == "HEAD":
        return Answer(200, headers, length=size)
    try:
        span = select(request.range, request.if_range, etag, size)
    except Unsatisfiable:
        raise Refusal(
            Code.RANGE_INVALID,
            f"The Range asks for nothing that is in this blob of {size} bytes.",
            headers=(("Content-Range", f"bytes */{size}"), ("Accept-Ranges", "bytes")),
        ) from None
    if span is None:
        return Answer(200, headers, await _body(open_reader, Span(0, size)), size)
    content_range = ("Content-Range", f"bytes {span.start}-{span.stop - 1}/{size}")
    body = await _body(open_reader, span)
    return Answer(206, (*headers, content_range), body, span.stop - span.start)


async def _body(open_reader: Callable[[], Awaitable[BlobReader]], span: Span) -> BlobBody:
    reader = await open_reader()
    try:
        if span.start < span.stop:
            await reader.available(span.start)
    except BaseException:
        reader.close()
        raise
    return BlobBody(reader, span)
