"""Every blob that a node has or is getting: stored, or read while it is filled."""

import asyncio
import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

from clients.oci.digest import Digest
from clients.process.exits import ConfigurationError
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.fill import Fill, failed_here
from dataplane.blobs.ledger import Ledger
from dataplane.blobs.measures import Measures
from dataplane.blobs.patience import Patience
from dataplane.blobs.reader import BlobReader
from dataplane.blobs.source import Source
from dataplane.blobs.spool import Spool
from dataplane.blobs.store import BlobStore, StoredBlob
from dataplane.blobs.threads import Threads

logger = logging.getLogger(__name__)

_SPOOL_SUFFIX = ".spool"


class BlobCache:
    """Opens blobs, from the store or from one fetch for everybody; `start` it before, `stop` it after."""

    def __init__(
        self,
        store: BlobStore,
        spool_folder: Path,
        *,
        max_bytes: int | None = None,
        measures: Measures | None = None,
        patience: Patience | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Describe a cache; spool_folder belongs to it alone, on the file system of a FileStore.

        `max_bytes` bounds the store, None not at all; a larger blob is passed through and not kept.
        """
        self.measures = measures or Measures()
        self._store = store
        self._spool_folder = spool_folder
        self._max_bytes = max_bytes
        self._ledger = Ledger(self.measures)
        self._patience = patience or Patience()
        self._sleep = sleep
        self._chance = chance
        self._threads = Threads()
        self._numbers = itertools.count()
        self._fills: dict[Digest, Fill] = {}
        self._tasks: dict[Digest, asyncio.Task[None]] = {}
        self._stopping = False

    async def start(self) -> None:
        """Make store and spool folder ready, without what a crash left; raises ConfigurationError."""
        await self._store.prepare()
        try:
            await self._threads.disk(self._clear_spools)
        except OSError as error:
            raise ConfigurationError(
                f"The folder {self._spool_folder} for blobs that are being fetched cannot be used: "
                f"{error.strerror or error}; make it a directory that this process may write to."
            ) from error
        for entry in await self._store.entries():
            self._ledger.used(entry.digest, entry.size)
        await self._evict()

    async def open(self, digest: Digest, size: int, source: Source) -> BlobReader:
        """Open the blob that the manifest says has this size in bytes; fetches it from source if need be.

        Returns before the upstream has answered: what it says is told by the reader. The caller closes
        the reader, and the fetch goes on without it. Raises BlobFailed where this node cannot even begin.
        """
        while True:
            fill = self._fills.get(digest)
            if fill is None:
                stored = await self._stored(digest, size)
                if stored is not None:
                    self.measures.hits += 1
                    return BlobReader(stored.file, size, None)
                if digest in self._fills:
                    continue
                fill = self._begin(digest, size, source)
                self.measures.misses += 1
            elif fill.failed or fill.size != size:
                # What is over must not be joined; and a manifest that says another size, which may be
                # wrong, must not decide about this one.
                await asyncio.wait([self._tasks[digest]])
                continue
            else:
                self.measures.followers += 1
            try:
                return BlobReader(fill.open(), size, fill)
            except OSError as error:
                raise failed_here(digest, error) from error

    async def stop(self) -> None:
        """Break all fills off, remove their spools, end the threads; whoever still waits gets BlobFailed."""
        self._stopping = True
        # A fill that was started in this very turn gets to the point where it cleans up behind itself.
        await asyncio.sleep(0)
        fills = list(self._tasks.values())
        for fill in fills:
            fill.cancel()
        await asyncio.gather(*fills, return_exceptions=True)
        self._threads.close()

    async def _stored(self, digest: Digest, size: int) -> StoredBlob | None:
        try:
            stored = await self._store.open(digest)
        except OSError:
            logger.exception("stored blob %s cannot be opened, and is fetched again", digest)
            return None
        if stored is None:
            self._ledger.gone(digest)
            return None
        if stored.size != size:
            # It stays until a verified one takes its place, for it may be the manifest that is wrong.
            stored.close()
            logger.error(
                "stored blob %s has %d bytes instead of %d, and is fetched again", digest, stored.size, size
            )
            return None
        self._ledger.used(digest, size)
        return stored

    def _begin(self, digest: Digest, size: int, source: Source) -> Fill:
        if self._stopping:
            raise BlobFailed(Fault.STOPPED, "This node is stopping: pull again.")
        path = self._spool_folder / f"{digest.encoded}.{next(self._numbers)}{_SPOOL_SUFFIX}"
        try:
            spool = Spool(path, digest, size, self._threads)
        except OSError as error:
            logger.exception("blob %s cannot be fetched: its spool file cannot be made", digest)
            raise failed_here(digest, error) from error
        fill = Fill(
            digest,
            source,
            spool,
            self._keep,
            self.measures,
            patience=self._patience,
            sleep=self._sleep,
            chance=self._chance,
        )
        self.measures.running_fills += 1
        self._fills[digest] = fill
        self._tasks[digest] = asyncio.create_task(self._run(digest, fill), name=f"fill {digest}")
        return fill

    async def _run(self, digest: Digest, fill: Fill) -> None:
        try:
            await fill.run()
        finally:
            self.measures.running_fills -= 1
            del self._fills[digest], self._tasks[digest]

    async def _keep(self, digest: Digest, size: int, spool: Path) -> None:
        if self._max_bytes is not None and size > self._max_bytes:
            logger.warning(
                "blob %s is not kept: its %d bytes are more than the cache may hold (%d)",
                digest, size, self._max_bytes,
            )  # fmt: skip
            return
        try:
            await self._store.commit(digest, spool)
        except OSError:
            logger.exception("blob %s was verified and served, but cannot be stored", digest)
            return
        self._ledger.used(digest, size)
        await self._evict()

    async def _evict(self) -> None:
        if self._max_bytes is None:
            return
        for digest in self._ledger.excess(self._max_bytes):
            self.measures.evictions += 1
            try:
                await self._store.remove(digest)
            except OSError:
                logger.exception("blob %s cannot be removed to make room", digest)

    def _clear_spools(self) -> None:
        self._spool_folder.mkdir(parents=True, exist_ok=True)
        for spool in self._spool_folder.glob(f"*{_SPOOL_SUFFIX}"):
            spool.unlink()
        # Tells now, not at the first pull, that nothing can be written here.
        probe = self._spool_folder / f"probe{_SPOOL_SUFFIX}"
        probe.touch()
        probe.unlink()
