"""Room for blobs: a byte limit and a floor of free space, kept over all processes of a node."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from clients.oci.digest import Digest
from dataplane.blobs.abandoned import remove_abandoned
from dataplane.blobs.claim import Claim
from dataplane.blobs.held import alone_with
from dataplane.blobs.lately import MOMENT
from dataplane.blobs.measures import Measures
from dataplane.blobs.promised import missing, promised
from dataplane.blobs.store import BlobStore, Entry
from dataplane.blobs.threads import Threads
from dataplane.blobs.trouble import Trouble
from dataplane.blobs.usage import Usage, Used
from dataplane.blobs.uses import Uses

logger = logging.getLogger(__name__)

# Seconds after which a spool that nobody fills any more is removed: until then, a client that tries again
# lets its fetch go on where it stopped.
_ABANDONED: Final = 600.0
# Seconds between two looks whether somebody else has made room, and how many.
_LOOK: Final = 0.1
_LOOKS: Final = 50
# Seconds until another process has surely made its reservation, which takes it no turn of its loop, and
# how often to look: one that was stopped in between does not stop the others.
_RESERVING: Final = 0.002
_RESERVATIONS: Final = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """How much room blobs may take."""

    max_bytes: int | None = None
    """Bytes in the store from which on the least recently used go; None for any number."""
    min_free_bytes: int = 0
    """Bytes that stay free on the file system, for others."""
    low: float = 0.95
    """Part of max_bytes down to which they go at once, so that not every blob makes a sweep."""
    pinned: float = 0.8
    """Part of max_bytes that pinned blobs may keep from being evicted."""


class Space:
    """Keeps the limits: `admit` before a fill, `changed` after a commit, `sweep` now and then.

    Whoever finds too much sweeps, one process of the node at a time. The least recently used go first,
    never one that is being read or filled.
    """

    def __init__(
        self,
        store: BlobStore,
        folder: Path,
        limits: Limits,
        measures: Measures,
        threads: Threads,
        trouble: Trouble,
        let_go: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Keep the limits of a store whose spools are in folder; clock gives seconds since the epoch.

        `let_go` is called before blobs are evicted, to close the files that nobody reads.
        """
        self.pins: Callable[[], Awaitable[Collection[Digest]]] | None = None
        """Gives the blobs that are not to be evicted."""
        self._store = store
        self._folder = folder
        self._limits = limits
        self._measures = measures
        self._threads = threads
        self._trouble = trouble
        self._let_go = let_go
        self._clock = clock
        self._usage = Usage(folder / "usage")
        self._uses = Uses(clock)
        self.used = self._uses.note
        """Notes that a blob is used: on the path of every pull, and so no call more."""
        # Whether the last eviction would have removed more, but for its being read.
        self._held_back = False

    def has_room(self, size: int) -> bool:
        """Tell whether a blob of so many bytes takes room from no other. Raises OSError."""
        limit = self._limits.max_bytes
        used = self._measures.cache_bytes + size
        if limit is not None and used > limit * self._limits.low:
            return False
        return self._has_free(size + promised(self._folder))

    def fits(self, size: int) -> bool:
        """Tell whether the store may hold a blob of so many bytes."""
        return self._limits.max_bytes is None or size <= self._limits.max_bytes

    async def clear(self) -> None:
        """Make room on a disk that has none at all, so that a claim finds some. Raises OSError."""
        if not self._has_free(0):
            await self.sweep()

    async def admit(self, size: int, claim: Claim) -> bool:
        """Make room for a fill of so many bytes under a claim that is held, and keep it until the claim ends.

        False where there is none, with the disk's trouble noted unless other fills are to take the room.
        Raises OSError.
        """
        if await self._reserve(claim):
            return True
        never = not self.fits(size) or size > self._measures.disk_bytes - self._limits.min_free_bytes
        if never and self._has_free(1):
            # A manifest may say any size: that is nobody's trouble but that of who wants the blob.
            logger.warning("a blob of %d bytes is not kept: that is more than the cache may hold", size)
            return False
        waited = False
        for _ in range(0 if never else _LOOKS):
            swept = await self.sweep(missing(claim.path))
            if await self._reserve(claim):
                return True
            if swept and (waited or not self._held_back):
                break
            # Somebody else is at it; if that is not enough, it is this one's turn. Or another process keeps
            # a file open that nobody reads any more.
            waited = waited or swept
            await asyncio.sleep(MOMENT if swept else _LOOK)
        if not never and self._has_free(missing(claim.path)):
            logger.warning("a blob of %d bytes is not kept: what is being fetched takes the room", size)
            return False
        self._trouble.note(
            f"The disk has no room for {size} bytes above the {self._limits.min_free_bytes} that must stay"
            " free (PENSTOCK_CACHE_MIN_FREE_BYTES): blobs are passed through and not kept."
        )
        return False

    async def _reserve(self, claim: Claim) -> bool:
        """Reserve what the claim's fill will write, if there is room beside what others are to write."""
        for _ in range(_RESERVATIONS):
            with alone_with(self._folder / "room.lock") as alone:
                if alone:
                    return self._reserve_alone(claim)
            await asyncio.sleep(_RESERVING)
        return self._reserve_alone(claim)

    def _reserve_alone(self, claim: Claim) -> bool:
        others = promised(self._folder, but=claim.path.name)
        if not self._has_free(missing(claim.path) + others):
            return False
        claim.reserve()
        return True

    async def changed(self, by: Used) -> None:
        """Note what a commit or a removal has changed, and make room if it was too much. Raises OSError."""
        self._show(await self._threads.disk(self._usage.change, by))
        if self._is_over():
            await self.sweep()

    async def look(self) -> None:
        """See what the other processes have changed, and make room if it is too much. Raises OSError."""
        await self.changed(Used())

    async def sweep(self, wanted: int = 0) -> bool:
        """Count what is there, remove abandoned spools, and make room: for so many bytes more, if given.

        False where somebody else is doing that, and nothing was done. Raises OSError.
        """
        with alone_with(self._folder / "sweep.lock") as alone:
            if not alone:
                return False
            await self._threads.disk(remove_abandoned, self._folder, self._clock(), _ABANDONED)
            entries = await self._store.entries()
            used = Used(sum(entry.size for entry in entries), len(entries))
            used += -await self._evict(self._uses.order(entries), used.size, wanted)
            await self._threads.disk(self._usage.set, used)
            self._show(used)
            return True

    async def _evict(self, entries: list[Entry], size: int, wanted: int) -> Used:
        gone = Used()
        limit = self._limits.max_bytes
        low = size if limit is None or size <= limit else int(limit * self._limits.low)
        wanted += promised(self._folder)
        if size <= low and self._has_free(wanted):
            return gone
        pinned = await self._pinned(entries)
        loose = [entry for entry in entries if entry.digest not in pinned]
        if not self._has_free(wanted - sum(entry.size for entry in loose)):
            # Not for what there is no room for even without them.
            wanted = 0
        self._let_go()
        self._held_back = False
        for entry in loose:
            if size - gone.size <= low and self._has_free(wanted):
                break
            try:
                evicted = await self._store.evict(entry.digest)
            except OSError:
                logger.exception("blob %s cannot be removed to make room", entry.digest)
                continue
            if evicted:
                self._measures.evictions += 1
                self._uses.forget(entry.digest)
                gone += Used(entry.size, 1)
            else:
                self._held_back = True
        return gone

    async def _pinned(self, entries: list[Entry]) -> Collection[Digest]:
        """Give what is to stay; of more than pins may hold, what was used last."""
        wanted = set() if self.pins is None else set(await self.pins())
        limit = self._limits.max_bytes
        if not wanted or limit is None:
            return wanted
        room, kept = int(limit * self._limits.pinned), set()
        for entry in reversed(entries):
            if entry.digest in wanted and entry.size <= room:
                kept.add(entry.digest)
                room -= entry.size
        return kept

    def _is_over(self) -> bool:
        limit = self._limits.max_bytes
        return (
            limit is not None and self._measures.cache_bytes > limit
        ) or self._free() < self._limits.min_free_bytes

    def _has_free(self, size: int) -> bool:
        return self._free() - size >= self._limits.min_free_bytes

    def _free(self) -> int:
        status = os.statvfs(self._folder)
        free = status.f_bavail * status.f_frsize
        self._measures.disk_bytes, self._measures.disk_free_bytes = status.f_blocks * status.f_frsize, free
        return free

    def _show(self, used: Used) -> None:
        self._measures.cache_bytes, self._measures.cache_blobs = used.size, used.blobs
        self._free()
