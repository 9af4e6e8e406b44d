"""The cache of a node as its folder shows it, whether the node runs or not.

The folder is what the processes of a node share: locks on its files, and the sums of what it holds. Whoever
keeps to these is as good as one more worker.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import suppress
from typing import Any, Final

from clients.oci.digest import Digest
from clients.process.exits import ConfigurationError
from dataplane.blobs.files import FileStore
from dataplane.blobs.lately import MOMENT
from dataplane.blobs.measures import Measures
from dataplane.blobs.scrub import Scrubber, Unreadable
from dataplane.blobs.spool import SPOOL_SUFFIX
from dataplane.blobs.store import Entry
from dataplane.blobs.threads import Threads
from dataplane.blobs.usage import Usage, Used
from dataplane.settings import Settings

Row = dict[str, Any]
"""What JSON knows; times are seconds since the epoch, sizes bytes."""

_FAST: Final = 1 << 40
# How often to try whether a blob that was held has been let go of.
_TRIES: Final = 20


class CacheFolder:
    """Lists, evicts and verifies what a node has stored; raises OSError where the folder fails."""

    def __init__(self, settings: Settings) -> None:
        """Take the folder that these settings of a node name; raises ConfigurationError where it has none."""
        self._settings = settings
        self._root = settings.blob_directory(settings.data_dir.expanduser().absolute())
        if not (self._root / "oci-layout").is_file():
            raise ConfigurationError(
                f"There is no cache at {self._root}: run this on the node's machine, with the"
                " PENSTOCK_DATA_DIR and PENSTOCK_BLOB_STORE that the node has."
            )
        self._spools = self._root / "spool"
        self._store = FileStore(self._root)
        self._usage = Usage(self._spools / "usage")

    async def rows(self) -> AsyncGenerator[Row, None]:
        """Give all blobs, those that were used last first."""
        for entry in reversed(await self._store.entries()):
            yield {"digest": str(entry.digest), "size": entry.size, "used": entry.used}

    async def stats(self) -> Row:
        """Give sums and limits."""
        entries = await self._store.entries()
        status = os.statvfs(self._root)
        bucket = self._settings.bucket
        return {
            "path": str(self._root),
            "blobs": len(entries),
            "size": sum(entry.size for entry in entries),
            "max_size": self._settings.cache_max_bytes,
            "free": status.f_bavail * status.f_frsize,
            "min_free": self._settings.cache_min_free_bytes,
            "fetching": sum(1 for _ in self._spools.glob(f"*{SPOOL_SUFFIX}")),
            "oldest_use": entries[0].used if entries else None,
            "bucket": "" if bucket is None else str(bucket),
        }

    async def evict(
        self, digests: Collection[Digest], unused_since: float | None
    ) -> AsyncGenerator[Row, None]:
        """Remove these blobs, or all that were not used since then; never one that is being read.

        What a node keeps open for whoever comes next, it lets go of in a moment.
        """
        held = []
        for entry in await self._store.entries():
            if entry.digest in digests or (unused_since is not None and entry.used < unused_since):
                if await self._evict(entry):
                    yield {**_named(entry), "evicted": True}
                else:
                    held.append(entry)
        for _ in range(_TRIES if held else 0):
            await asyncio.sleep(2 * MOMENT / _TRIES)
            for entry in list(held):
                if await self._evict(entry):
                    held.remove(entry)
                    yield {**_named(entry), "evicted": True}
        for entry in held:
            yield {**_named(entry), "evicted": False}

    async def verify(
        self, digests: Collection[Digest], sleep: Callable[[float], Awaitable[None]], rate: int
    ) -> AsyncGenerator[Row, None]:
        """Read these blobs again, or all without any, and drop what is rotten, telling how far it is.

        `rate` is the most bytes a second; 0 for any number. What the disk fails to give is neither right nor
        rotten, and stays.
        """
        wanted = [each for each in await self._store.entries() if not digests or each.digest in digests]
        total, done = sum(entry.size for entry in wanted), 0
        # What is right is marked as such, where the disk takes that.
        with suppress(OSError, ConfigurationError):
            await self._store.prepare()
        with Threads() as threads:
            scrubber = Scrubber(
                self._store, self._spools, rate or _FAST, Measures(), threads, self._drop, sleep=sleep
            )
            for entry in wanted:
                right: bool | None = None
                with suppress(Unreadable):
                    right = await scrubber.verify(entry.digest)
                done += entry.size
                yield {**_named(entry), "right": right, "done": done, "total": total}

    async def _evict(self, entry: Entry) -> bool:
        evicted = await self._store.evict(entry.digest)
        if evicted:
            self._usage.change(-Used(entry.size, 1))
        return evicted

    async def _drop(self, digest: Digest, size: int) -> None:
        if await self._store.remove(digest):
            self._usage.change(-Used(size, 1))


def _named(entry: Entry) -> Row:
    return {"digest": str(entry.digest), "size": entry.size}
