"""The tags of one artifact in one piece of memory, in ASCII order, that can be cut into pages."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

_END: Final = b"\n"
_PIECE: Final = 64 << 10
# Enough for the last line and the end of the one before: a tag has 128 characters at most.
_TAIL: Final = 2 * 129


@dataclass(frozen=True, slots=True)
class TagPage:
    """Some tags in order, and whether there are more after them."""

    lines: memoryview
    """The tags, each followed by a line feed."""
    count: int
    more: bool

    def pieces(self) -> Iterator[bytes]:
        """Give the lines a piece at a time, about 64 KiB each and never part of a line."""
        start = 0
        while start < len(self.lines):
            piece = bytes(self.lines[start : start + _PIECE])
            piece = piece[: piece.rfind(_END) + 1]
            yield piece
            start += len(piece)

    @property
    def last(self) -> str:
        """The last tag of the page; empty on an empty page."""
        return bytes(self.lines[-_TAIL:]).rstrip(_END).rpartition(_END)[2].decode("ascii")


@dataclass(frozen=True, slots=True)
class TagList:
    """A sorted list of tags, a few bytes each: a repository may have a million of them."""

    lines: bytes
    """The tags, each followed by a line feed, in ASCII order, without repetition."""
    content_revision: int
    """Of the artifact, when they were listed."""

    @classmethod
    def of(cls, tags: Iterable[str], content_revision: int) -> Self:
        """Make a list of valid tags, in whatever order."""
        # Sorted here as well: what a database calls order depends on its locale.
        lines = "".join(f"{tag}\n" for tag in sorted(set(tags)))
        return cls(lines.encode("ascii"), content_revision)

    def page(self, limit: int | None, last: str) -> TagPage:
        """Give up to `limit` tags (None: all) that come after `last`; from the first when it is empty."""
        start = self._after(last.encode("utf-8", "surrogateescape")) if last else 0
        available = self.lines.count(_END, start)
        if limit is None or limit >= available:
            return TagPage(memoryview(self.lines)[start:], available, more=False)
        stop = start
        for _ in range(limit):
            stop = self.lines.index(_END, stop) + 1
        return TagPage(memoryview(self.lines)[start:stop], limit, more=True)

    def only(self, is_named: Callable[[str], bool]) -> Self:
        """Give the tags that are named, at the same content revision."""
        named = (tag for tag in self.lines.decode("ascii").splitlines() if is_named(tag))
        return type(self)("".join(f"{tag}\n" for tag in named).encode("ascii"), self.content_revision)

    def encode(self) -> bytes:
        """Give bytes that `decode` takes."""
        return b"%d\n%b" % (self.content_revision, self.lines)

    @classmethod
    def decode(cls, encoded: bytes) -> Self | None:
        """Read what `encode` wrote; None where it is something else."""
        revision, _, lines = encoded.partition(_END)
        return cls(lines, int(revision)) if revision.isdigit() else None

    def _after(self, last: bytes) -> int:
        # Every line before `low` comes up to `last`; every line from `high` on comes after it.
        low, high = 0, len(self.lines)
        while low < high:
            start = self.lines.rfind(_END, low, (low + high) // 2) + 1 or low
            end = self.lines.index(_END, start)
            if self.lines[start:end] <= last:
                low = end + 1
            else:
                high = start
        return low
