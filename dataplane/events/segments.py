"""Numbered files of lines in one folder: written at the end, given up from the first on.

Nothing is forced to the disk: what is written survives the process, not a power failure.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.process.descriptors import is_shortage

_SUFFIX: Final = ".events"


@dataclass(slots=True)
class Segment:
    """One of the files."""

    number: int
    """Larger than those of all before it."""
    path: Path
    size: int = 0
    """Bytes."""
    events: int = 0
    """How many of its lines hold an event, as far as is known."""


class Segments:
    """The files of one process, each of about `part` bytes; its methods block."""

    def __init__(self, folder: Path, part: int) -> None:
        self._folder = folder
        self._part = part
        self._segments: dict[int, Segment] = {}
        # Of the last one, while it is being written.
        self._descriptor: int | None = None
        self._next = 1

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def first(self) -> Segment:
        """The oldest; there is one."""
        return next(iter(self._segments.values()))

    @property
    def size(self) -> int:
        """Bytes of all; may be asked for by any thread."""
        # Copied at once, for metrics are asked for while a thread writes.
        return sum(segment.size for segment in list(self._segments.values()))

    @property
    def events(self) -> int:
        """Events of all; may be asked for by any thread."""
        return sum(segment.events for segment in list(self._segments.values()))

    def ripe(self) -> Segment | None:
        """Give the oldest, to which nothing is added from then on; None where none has anything to give."""
        if not self._segments:
            return None
        first = self.first
        if self._descriptor is not None and len(self._segments) == 1:
            if not first.events and first.size < self._part:
                return None
            self.end()
        return first

    def find(self) -> list[Segment]:
        """Take over what a process before this one left."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in self._numbers():
            self._segments[number] = Segment(number, self._path(number), self._size_of(number))
            self._next = number + 1
        return list(self._segments.values())

    def append(self, lines: Sequence[str], events: int) -> int:
        """Write lines, of which so many hold events, all or none; gives the file's number. Raises OSError."""
        data = "".join(f"{line}\n" for line in lines).encode()
        if self._descriptor is not None and self._last.size >= self._part:
            self.end()
        if self._descriptor is None:
            self._begin()
        last = self._last
        self._write(data)
        last.size += len(data)
        last.events += events
        return last.number

    def read(self, segment: Segment) -> list[str]:
        """Give the lines of a file, none of one that cannot be read. Raises OSError without a descriptor."""
        try:
            text = segment.path.read_text(errors="replace")
        except OSError as error:
            if is_shortage(error):
                raise
            return []
        return [line for line in text.split("\n") if line]

    def remove(self, segment: Segment) -> None:
        """Delete a file, if it is still there."""
        with suppress(OSError):
            segment.path.unlink(missing_ok=True)
        if self._segments.pop(segment.number, None) is not None and not self._segments:
            self.end()

    def end(self) -> None:
        """Close what is being written: what is appended next begins another file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _begin(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        path = self._path(self._next)
        self._descriptor = os.open(path, flags, 0o600)
        self._segments[self._next] = Segment(self._next, path)
        self._next += 1

    def _write(self, data: bytes) -> None:
        assert self._descriptor is not None  # noqa: S101 - just begun
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            # Half a line would spoil the next one.
            try:
                os.ftruncate(self._descriptor, self._last.size)
            except OSError:
                # A disk that has become read-only keeps it: what is next begins another file.
                self.end()
            raise

    @property
    def _last(self) -> Segment:
        return next(reversed(self._segments.values()))

    def _size_of(self, number: int) -> int:
        try:
            return self._path(number).stat().st_size
        except OSError:
            return 0

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:012}{_SUFFIX}"

    def _numbers(self) -> list[int]:
        try:
            paths = list(self._folder.glob(f"*{_SUFFIX}"))
        except OSError:
            return []
        return sorted(int(path.stem) for path in paths if path.stem.isdecimal())
