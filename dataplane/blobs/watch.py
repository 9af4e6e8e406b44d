"""Being told that files have changed which other processes write."""

import asyncio
import ctypes
import errno
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from dataplane.blobs.pulse import Pulse

logger = logging.getLogger(__name__)

# inotify(7).
_MODIFY: Final = 0x2
_CLOSE_WRITE: Final = 0x8
_EVENT: Final = struct.Struct("iIII")
_EVENTS: Final = 64 * 1024  # bytes
# Seconds between two looks where the kernel does not tell: it is out of instances, or /proc is missing.
_POLL: Final = 0.05

_libc = ctypes.CDLL(None, use_errno=True)


class Changes:
    """Changes of a few files."""

    def __init__(self, *, told: bool) -> None:
        self.pulse = Pulse()
        self._told = told

    async def wait(self, longest: float) -> bool:
        """Wait for the next change, for at most so many seconds; tells whether there may have been one."""
        if not self._told:
            await asyncio.sleep(min(longest, _POLL))
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(longest):
                await self.pulse.wait()
                return True
        return False


class Watch:
    """All that one process watches, through one inotify instance; `close` it on the loop that used it."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._tried = False
        self._watched: dict[int, Changes] = {}

    @contextmanager
    def on(self, *descriptors: int) -> Iterator[Changes]:
        """Watch open files, by their descriptors, whatever becomes of their names."""
        self._open()
        numbers = [self._add(descriptor) for descriptor in descriptors]
        changes = Changes(told=all(number >= 0 for number in numbers))
        self._watched.update(dict.fromkeys(numbers, changes))
        try:
            yield changes
        finally:
            for number in numbers:
                self._watched.pop(number, None)
                if self._descriptor >= 0 and number >= 0:
                    # Gone already if the file is.
                    _libc.inotify_rm_watch(self._descriptor, number)

    def close(self) -> None:
        """Stop watching."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def _open(self) -> None:
        if self._tried:
            return
        self._tried = True
        descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            logger.warning(
                "files of other processes are looked at every %g s, as the kernel tells of no changes: %s",
                _POLL,
                os.strerror(ctypes.get_errno()),
            )
            return
        self._descriptor = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    def _add(self, descriptor: int) -> int:
        if self._descriptor < 0:
            return -1
        path = f"/proc/self/fd/{descriptor}".encode()
        return int(_libc.inotify_add_watch(self._descriptor, path, _MODIFY | _CLOSE_WRITE))

    def _read(self) -> None:
        try:
            events = os.read(self._descriptor, _EVENTS)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return
            raise
        at, changed = 0, set()
        while at < len(events):
            number, _, _, length = _EVENT.unpack_from(events, at)
            at += _EVENT.size + length
            changed.add(number)
        # -1 says that events were lost: everybody looks.
        for number, changes in list(self._watched.items()):
            if number in changed or -1 in changed:
                changes.pulse.beat()
