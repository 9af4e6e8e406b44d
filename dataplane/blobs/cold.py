"""Blobs that are not stored: how each reader comes to the one fetch of them, or past a disk without room."""

import asyncio
import logging
from pathlib import Path

from clients.process.descriptors import is_shortage
from dataplane.blobs.detour import Detours
from dataplane.blobs.doubts import Doubts
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.fills import Fills, Running
from dataplane.blobs.measures import Measures
from dataplane.blobs.reader import BlobReader
from dataplane.blobs.space import Space
from dataplane.blobs.trouble import Trouble
from dataplane.blobs.warm import Warm
from dataplane.blobs.way import Key, Way

logger = logging.getLogger(__name__)

# Seconds that another process may take between claiming a blob and making its spool.
_JUST_NOW = 0.005


class Cold:
    """Begins fetches, one for all who want the same blob, and makes readers of them."""

    def __init__(
        self,
        folder: Path,
        fills: Fills,
        space: Space,
        warm: Warm,
        doubts: Doubts,
        trouble: Trouble,
        detours: Detours,
        measures: Measures,
    ) -> None:
        """Describe it; the folder is where fills have their spools."""
        self.beginning: dict[Key, _Beginning] = {}
        """What is about to be fetched or followed."""
        self._folder = folder
        self._fills = fills
        self._space = space
        self._warm = warm
        self._doubts = doubts
        self._trouble = trouble
        self._detours = detours
        self._measures = measures
        self._refuses = False

    def refuse(self) -> None:
        """Begin nothing from now on: the node is stopping."""
        self._refuses = True

    async def begin(self, way: Way, *, ahead: bool) -> BlobReader | None:
        """Begin to fetch, or to follow another process; None when it is to be looked at again.

        Raises BlobFailed once refused, and OSError where no descriptor is left.
        """
        self._check()
        key = way.key
        if (before := self.beginning.get(key)) is not None:
            await before.over.wait()
            return self._uncached(way) if before.no_room else None
        beginning = self.beginning[key] = _Beginning()
        try:
            if self._fills.get(key) is not None:
                return None
            # Somebody may have cleaned up by hand.
            self._folder.mkdir(parents=True, exist_ok=True)
            if self._trouble.pauses:
                return self._uncached(way)
            await self._space.clear()
            return await self._claim(way, ahead=ahead)
        except OSError as error:
            if is_shortage(error):
                raise
            logger.exception("blob %s cannot be spooled, and is passed through", way.digest)
            self._trouble.failed(error)
            return self._uncached(way)
        finally:
            del self.beginning[key]
            beginning.over.set()

    async def _claim(self, way: Way, *, ahead: bool) -> BlobReader | None:
        async with self._fills.claim(way) as claim:
            if claim.held:
                # Another process may have ended its fetch just before.
                stored = self._warm.find(way.digest, way.size)
                if stored is not None:
                    claim.end()
                    if not self._doubts.concern(way.digest, stored):
                        return self._warm.reader(stored, way.digest, way)
                    stored.close()
                    return None
                # Following takes no room.
                if not await self._space.admit(way.size, claim):
                    self.beginning[way.key].no_room = True
                    claim.end()
                    return self._uncached(way)
            self._check()
            running = self._fills.run(way, claim)
        if running is None:
            # The other process has just begun, or just ended.
            await asyncio.sleep(_JUST_NOW)
            return None
        if not claim.held:
            return self.join(running, way, ahead=ahead)
        self._measures.misses += 1
        if not ahead:
            running.join()
        return self._reader(running, way)

    def join(self, running: Running, way: Way, *, ahead: bool) -> BlobReader:
        """Read what is being fetched already; `ahead` says that nobody waits for it. Raises OSError."""
        self._measures.followers += 1
        if not ahead:
            running.join()
        return self._reader(running, way)

    def _reader(self, running: Running, way: Way) -> BlobReader:
        return BlobReader(running.open(), way.size, running, way, self._detours)

    def _uncached(self, way: Way) -> BlobReader:
        self._measures.unspooled += 1
        return BlobReader(None, way.size, None, way, self._detours)

    def _check(self) -> None:
        if self._refuses:
            raise BlobFailed(Fault.STOPPED, "This node is stopping: pull again.")


class _Beginning:
    """What those wait for who want a blob that somebody else is about to fetch."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.no_room = False
        """Whether none was found: to look again for each who waited takes as long each time."""
