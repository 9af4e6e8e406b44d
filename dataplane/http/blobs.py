"""Answers to requests for blobs (distribution specification, "Pulling blobs"; RFC 9110, section 14)."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Protocol

from clients.oci.digest import Digest
from dataplane.blobs.reader import BlobReader
from dataplane.events.recorder import Ended
from dataplane.http.errors import Code, Refusal
from dataplane.http.message import Answer, FilePart, Headers, Request
from dataplane.http.multipart import Layout, MultipartBody
from dataplane.http.ranges import Span, Unsatisfiable, is_unchanged, require_match, select
from dataplane.http.transfers import Free

_MEDIA_TYPE = "application/octet-stream"


class Note(Protocol):
    """Notes that a blob is asked for."""

    def __call__(self, length: int, *, warm: bool, part: bool, redirected: int = 0) -> Ended:
        """Take the bytes that are asked for, `part` if not all, and whether they are in the cache.

        `redirected` are those that the client is sent elsewhere for, beside them.
        """
        ...


class BlobBody:
    """A FileBody over part of a blob; owns the reader."""

    def __init__(self, reader: BlobReader, span: Span, free: Free, ended: Ended) -> None:
        self._reader = reader
        self._free = free
        self._ended = ended
        self._position = span.start
        self._stop = span.stop
        # Bytes that were taken, and those of the piece that was given last.
        self._sent = self._given = 0
        self._pieces: AsyncGenerator[memoryview, None] | None = None

    async def read(self) -> memoryview | None:
        """See Stream."""
        if self._pieces is None:
            self._pieces = self._reader.read(self._position, self._stop)
        self._sent += self._given
        self._given = 0
        piece = await anext(self._pieces, None)
        self._given = 0 if piece is None else len(piece)
        return piece

    async def part(self) -> FilePart | None:
        """See FileBody."""
        position = self._position
        if self._pieces is not None or position == self._stop:
            return None
        stop = min(await self._reader.available(position, self._stop), self._stop)
        return FilePart(self._reader.fileno(), position, stop) if stop > position else None

    def skip(self, count: int) -> None:
        """See FileBody."""
        self._position += count
        self._sent += count

    async def close(self) -> None:
        """See Stream."""
        try:
            if self._pieces is not None:
                await self._pieces.aclose()
        finally:
            self._reader.close()
            self._free()
            self._ended(self._sent)


async def answer(
    request: Request,
    digest: Digest,
    size: int,
    open_reader: Callable[[], Awaitable[BlobReader]],
    begin: Callable[[], Free] = Free,
    locate: Callable[[int], Awaitable[str | None]] | None = None,
    note: Note = lambda *_, **__: _forget,
) -> Answer:
    """Answer GET or HEAD for a blob of `size` bytes; only a GET that needs bytes opens it.

    `begin` is asked before, and gives what is called when the bytes are sent, or will not be. `locate`
    may give a URL where the client is to get so many bytes instead. `note` is told what is asked for, and
    gives what is then told how many bytes were sent.

    Returns once the first byte is there, so that what fails before it gets a status of its own. Raises
    Refusal, and what the reader raises.
    """
    etag = f'"{digest}"'
    require_match(request.if_match, etag)
    if is_unchanged(request.if_none_match, etag):
        return Answer(304, _headers(digest))
    headers = full_headers(digest)
    if request.method == "HEAD":
        return Answer(200, headers, length=size)
    try:
        spans = select(request.range, request.if_range, etag, size)
    except Unsatisfiable:
        raise Refusal(
            Code.RANGE_INVALID,
            f"The Range asks for nothing of this blob of {size} bytes, or for the same again and again.",
            headers=(("Content-Range", f"bytes */{size}"), ("Accept-Ranges", "bytes")),
        ) from None
    # Whoever is redirected asks there with the same Range; what else it may say, and the tag, only this node
    # understands.
    plain = not request.range or (len(spans) == 1 and "," not in request.range)
    first = spans[0] if spans else Span(0, size)
    length = first.stop - first.start
    if locate is not None and plain and not (request.if_range or request.if_match):
        location = await locate(length)
        if location is not None:
            # The bytes are sent by somebody else.
            note(0, warm=True, part=bool(spans), redirected=length)(0)
            return Answer(307, (("Location", location), ("Docker-Content-Digest", str(digest))))
    if len(spans) > 1:
        layout = Layout(_MEDIA_TYPE, size, spans)
        note_whole = partial(note, layout.length, part=True)
        reader, free, ended = await _opened(open_reader, begin, note_whole, first)
        headers = (("Content-Type", layout.content_type), *_headers(digest))
        return Answer(206, headers, MultipartBody(reader, layout, free, ended), layout.length, free.pace)
    note_first = partial(note, length, part=bool(spans))
    reader, free, ended = await _opened(open_reader, begin, note_first, first)
    body = BlobBody(reader, first, free, ended)
    if not spans:
        return Answer(200, headers, body, size, free.pace)
    content_range = ("Content-Range", f"bytes {first.start}-{first.stop - 1}/{size}")
    return Answer(206, (*headers, content_range), body, length, free.pace)


def full_headers(digest: Digest) -> Headers:
    """Give the headers of a blob that is sent whole."""
    return (("Content-Type", _MEDIA_TYPE), *_headers(digest))


def _headers(digest: Digest) -> Headers:
    return (
        ("Docker-Content-Digest", str(digest)),
        ("ETag", f'"{digest}"'),
        ("Accept-Ranges", "bytes"),
    )


async def _opened(
    open_reader: Callable[[], Awaitable[BlobReader]],
    begin: Callable[[], Free],
    note: Callable[..., Ended],
    first: Span,
) -> tuple[BlobReader, Free, Ended]:
    free = begin()
    try:
        reader = await open_reader()
        ended = note(warm=reader.warm)
        try:
            if first.start < first.stop:
                await reader.available(first.start, first.stop)
        except BaseException:
            reader.close()
            ended(0)
            raise
    except BaseException:
        free()
        raise
    return reader, free, ended


def _forget(_: int) -> None:
    pass
