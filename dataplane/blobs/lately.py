"""Blobs that were opened moments ago: their files stay open for whoever wants them next.

When a hundred machines pull the same image, each of its files is opened and locked a few times a second.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from clients.oci.digest import Digest
from dataplane.blobs.store import OpenFile, StoredBlob

MOMENT: Final = 0.25
"""Seconds from one opening to the next: so long a blob cannot be evicted, or its room comes back late."""

# Seconds for which one that somebody may want to evict is not kept: longer than others look for.
_LEFT: Final = 4 * MOMENT
# Files at once.
_MOST: Final = 64


class Lately:
    """Opens what `open_stored` opens; `close` it at the end. Whoever has a blob keeps it as long as ever.

    A file that was removed, replaced, written or touched since is opened again, and not kept at once: who
    wants to evict it touches it (`files`), so that it is held by its readers alone for a while.
    """

    def __init__(self, open_stored: Callable[[Digest], StoredBlob | None]) -> None:
        self._open_stored = open_stored
        self._kept: dict[Digest, _Kept] = {}
        # Those that are not kept, until when by the loop's clock.
        self._left: dict[Digest, float] = {}
        self._forgetting: asyncio.TimerHandle | None = None
        self._closed = False

    def open(self, digest: Digest) -> StoredBlob | None:
        """Open a stored blob, None if there is none. Raises OSError."""
        kept = self._kept.get(digest)
        if kept is not None:
            if kept.is_current():
                return kept.lend()
            del self._kept[digest]
            kept.close()
            self._leave(digest)
        stored = self._open_stored(digest)
        if stored is None or stored.changed is not None or len(self._kept) >= _MOST or self._closed:
            return stored
        if self._left and digest in self._left and asyncio.get_running_loop().time() < self._left[digest]:
            return stored
        kept = self._kept[digest] = _Kept(stored)
        if self._forgetting is None:
            self._forgetting = asyncio.get_running_loop().call_later(MOMENT, self.forget)
        return kept.lend()

    def forget(self) -> None:
        """Keep none of those that are kept any longer, so that they can be evicted."""
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None
        kept, self._kept = self._kept, {}
        for each in kept.values():
            each.close()

    def _leave(self, digest: Digest) -> None:
        now = asyncio.get_running_loop().time()
        self._left = {each: until for each, until in self._left.items() if until > now}
        self._left[digest] = now + _LEFT

    def close(self) -> None:
        """Keep none from now on: what is opened after that is for its reader alone."""
        self._closed = True
        self.forget()


class _Kept:
    """An open file, until it is closed and all that were lent of it are."""

    __slots__ = ("_file", "_names", "_size", "_stamp", "_users", "descriptor")

    def __init__(self, stored: StoredBlob) -> None:
        self._file: OpenFile = stored.file
        self._size = stored.size
        self._users = 1
        self.descriptor = stored.file.fileno()
        status = os.fstat(self.descriptor)
        self._stamp = status.st_mtime_ns
        # More than one where somebody keeps a copy by hard links: it may lose this one and have others.
        self._names = status.st_nlink

    def is_current(self) -> bool:
        status = os.fstat(self.descriptor)
        return (
            status.st_nlink == self._names
            and status.st_mtime_ns == self._stamp
            and status.st_size == self._size
        )

    def lend(self) -> StoredBlob:
        self._users += 1
        return StoredBlob(_Lent(self), self._size)

    def close(self) -> None:
        self._users -= 1
        if not self._users:
            self._file.close()


class _Lent:
    """An OpenFile that shares its descriptor."""

    __slots__ = ("_kept",)

    def __init__(self, kept: _Kept) -> None:
        self._kept: _Kept | None = kept

    def fileno(self) -> int:
        if self._kept is None:
            raise ValueError("this file is closed")
        return self._kept.descriptor

    def close(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()
