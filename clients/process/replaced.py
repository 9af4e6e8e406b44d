"""What is made of files, and made again when somebody replaces them."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Generic, TypeVar

from clients.process.aside import aside
from clients.process.exits import ConfigurationError

_LOG = logging.getLogger(__name__)

_T = TypeVar("_T")
_Sight = tuple[tuple[int, ...] | None, ...]

_LOOK: Final = 1.0
"""Seconds between two looks at the files, which are a system call for each."""


class Replaced(Generic[_T]):
    """A value that `read` makes of files, current as soon as somebody asks for it; for any thread.

    Nothing runs in between: whoever asks has the files looked at, at most once a second. `read` raises
    ConfigurationError; the first time so does this, later that is logged, and what was there before stays.
    """

    def __init__(
        self, files: Sequence[Path], read: Callable[[], _T], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._files = tuple(files)
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        # Before they are read: what is replaced meanwhile is noticed next time.
        self._seen = self._look()
        self._looked = clock()
        self._value = read()

    def current(self) -> _T:
        """Give what the files say now, or said last when they made sense."""
        with self._lock:
            if self._clock() - self._looked >= _LOOK:
                self._refresh()
            return self._value

    @property
    def known(self) -> _T:
        """What was current when somebody last asked; looks at no file."""
        return self._value

    async def follow(self) -> None:
        """Have `known` be current, until this is cancelled, for those who must not wait for a disk.

        The files are looked at in threads of their own, the next after the one before has ended.
        """
        while True:
            await asyncio.sleep(_LOOK)
            try:
                await aside("replaced-files", self.current)
            except Exception:  # noqa: BLE001 - the next look is to come all the same
                _LOG.exception("Whether %s was replaced is not known.", " or ".join(map(str, self._files)))

    def _refresh(self) -> None:
        self._looked = self._clock()
        seen = self._look()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._value = self._read()
        except ConfigurationError as error:
            # Once for each state of the files: a certificate may be there a moment before its key.
            _LOG.error("What was read before stays in use, as what replaced it is no good: %s", error)
        else:
            _LOG.info("%s was replaced; new connections use it.", " or ".join(map(str, self._files)))

    def _look(self) -> _Sight:
        return tuple(map(_sight, self._files))


def _sight(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    # The time of the inode's change: also of one that became readable, or was renamed to here.
    return found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns
