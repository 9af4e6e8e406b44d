"""Several parts of a blob in one body: multipart/byteranges (RFC 9110, sections 14.6 and 15.3.7.2)."""

import secrets
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from dataplane.blobs.reader import BlobReader
from dataplane.events.recorder import Ended
from dataplane.http.message import Chunk
from dataplane.http.ranges import Span


class Layout:
    """How the parts of a body of `size` bytes are put together.

    The boundary is random: whoever made the blob cannot have put it there.
    """

    def __init__(
        self,
        media_type: str,
        size: int,
        spans: Sequence[Span],
        boundary: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        chosen = boundary()
        self.content_type = f"multipart/byteranges; boundary={chosen}"
        """Of the whole."""
        self.parts = [
            (
                f"\r\n--{chosen}\r\nContent-Type: {media_type}\r\n"
                f"Content-Range: bytes {span.start}-{span.stop - 1}/{size}\r\n\r\n".encode("ascii"),
                span,
            )
            for span in spans
        ]
        """Each with what stands before its bytes."""
        self.end = f"\r\n--{chosen}--\r\n".encode("ascii")
        self.length = len(self.end) + sum(len(head) + span.stop - span.start for head, span in self.parts)
        """Bytes of the whole."""


class MultipartBody:
    """A Stream over parts of a blob; owns the reader."""

    def __init__(
        self,
        reader: BlobReader,
        layout: Layout,
        free: Callable[[], None],
        ended: Ended = lambda _: None,
    ) -> None:
        self._reader = reader
        self._free = free
        self._ended = ended
        # Bytes that were taken, and those of the piece that was given last.
        self._sent = self._given = 0
        self._pieces = self._all(layout)

    async def read(self) -> Chunk | None:
        """See Stream."""
        self._sent += self._given
        self._given = 0
        piece = await anext(self._pieces, None)
        self._given = 0 if piece is None else len(piece)
        return piece

    async def close(self) -> None:
        """See Stream."""
        try:
            await self._pieces.aclose()
        finally:
            self._reader.close()
            self._free()
            self._ended(self._sent)

    async def _all(self, layout: Layout) -> AsyncGenerator[Chunk, None]:
        for head, span in layout.parts:
            yield head
            async with aclosing(self._reader.read(span.start, span.stop)) as pieces:
                async for piece in pieces:
                    yield piece
        yield layout.end
