"""Every blob that a node has or is getting: stored, or read while it is filled."""

from collections.abc import Awaitable, Callable, Collection
from functools import partial
from pathlib import Path

from clients.oci.digest import Digest
from clients.process.descriptors import is_shortage
from dataplane.blobs.background import Background
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.cold import Cold
from dataplane.blobs.detour import Detours
from dataplane.blobs.doubts import Doubts
from dataplane.blobs.errors import out_of_descriptors
from dataplane.blobs.fills import Fills
from dataplane.blobs.keeping import Keeping
from dataplane.blobs.kept import Kept
from dataplane.blobs.lately import Lately
from dataplane.blobs.measures import Measures
from dataplane.blobs.patience import Patience
from dataplane.blobs.reader import BlobReader
from dataplane.blobs.scrub import Scrubber
from dataplane.blobs.source import Source
from dataplane.blobs.space import Limits, Space
from dataplane.blobs.store import BlobStore, StoredBlob
from dataplane.blobs.threads import Threads
from dataplane.blobs.tier import Tier
from dataplane.blobs.trouble import Trouble
from dataplane.blobs.turns import Turns
from dataplane.blobs.upkeep import Upkeep
from dataplane.blobs.warm import Warm
from dataplane.blobs.way import Way
from dataplane.descriptors import Descriptors

# Transfers past the disk at one time; each holds up to a mebibyte.
_MOST_DETOURS = 64


class BlobCache:
    """Opens blobs, from the store or from one fetch for everybody; `start` it before, `stop` it after.

    Any number of processes on one machine may each have one over the same folders: a cold blob is then
    fetched by one of them, and read by all while it grows.
    """

    def __init__(
        self,
        store: BlobStore,
        spool_folder: Path,
        *,
        limits: Limits | None = None,
        scrub_rate: int = 0,
        bucket: Bucket | None = None,
        turns: Turns | None = None,
        measures: Measures | None = None,
        patience: Patience | None = None,
        descriptors: Descriptors | None = None,
        tell_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Describe a cache; spool_folder belongs to it alone, on the file system of a FileStore.

        A blob that is larger than the limits allow is passed through and not kept. `scrub_rate` is the
        bytes a second that are read again to find what is rotten; 0 for none. With a bucket, which
        outlives the cache, the store is a hot tier in front of it: what the store does not have is looked
        for there before it is fetched from upstream, and what was fetched is put there. With `turns`,
        which the cache stops, nodes that share the bucket wait for each other. `descriptors`
        is told when there are none left, `tell_trouble` what the other processes should `hear_trouble` of.
        """
        self.measures = measures or Measures()
        self._store = store
        self._lately = Lately(store.open)
        self._folder = spool_folder
        self._threads = Threads()
        self._trouble = Trouble(self.measures, tell=tell_trouble, descriptors=descriptors)
        patience = patience or Patience()
        self._space = Space(
            store,
            spool_folder,
            limits or Limits(),
            self.measures,
            self._threads,
            self._trouble,
            self._lately.forget,
        )
        self._upkeep = Upkeep(store, spool_folder, self._space, self._threads, self._trouble)
        self._detours = Detours(self._threads, self.measures, patience, _MOST_DETOURS)
        self._scrub_rate = scrub_rate
        self._tier = Tier(bucket, spool_folder, self.measures, turns, lambda key: self._fills.get(key))
        self._keeping = Keeping(store, self._space, self._tier, self._trouble, self.measures)
        self._doubts = Doubts(self.verify, self._keeping.unreadable)
        self._fills = Fills(
            spool_folder, self._keeping.keep, self._trouble, self.measures, self._threads, patience
        )
        self._background = Background()
        self._warm = Warm(
            self._lately, self._keeping, self._space, self._detours, self.measures, self._background.spawn
        )
        self._cold = Cold(
            spool_folder,
            self._fills,
            self._space,
            self._warm,
            self._doubts,
            self._trouble,
            self._detours,
            self.measures,
        )

    @property
    def trouble(self) -> str:
        """What is wrong with the disk, in a sentence for operators; empty when nothing is."""
        return self._trouble.sentence

    def hear_trouble(self, sentence: str) -> None:
        """Take over what another process found to be wrong with the disk; empty when it works again."""
        self._trouble.hear(sentence)

    async def start(self) -> None:
        """Make store and spool folder ready; raises ConfigurationError where they never will be.

        Where it is only that the disk takes nothing now, what is stored is served, everything else is passed
        through, and that is the trouble until the disk is better.
        """
        await self._upkeep.start()
        self._background.spawn(self._upkeep.run, "blob space")
        if self._scrub_rate:
            self._background.spawn(self._scrubber(self._scrub_rate).run, "blob scrubber")
        self._background.spawn(partial(self._tier.make_good, self._verified), "blobs owed to the bucket")

    async def open(
        self, digest: Digest, size: int, source: Source, *, owner: str = "", ahead: bool = False
    ) -> BlobReader:
        """Open the blob that the manifest says has this size in bytes; fetches it from source if need be.

        Returns before the upstream has answered: what it says is told by the reader. The caller closes
        the reader, and the fetch goes on without it. `ahead` says that nobody waits for the blob. Those with
        the same `owner` share one fetch; another has its own, and gets the blob of this one once it is
        verified. Raises BlobFailed where this node cannot even begin.
        """
        try:
            return await self._open(self._tier.way(digest, size, source, owner), ahead=ahead)
        except OSError as error:
            if not is_shortage(error):
                raise
            self._trouble.failed(error)
            raise out_of_descriptors() from error

    async def _open(self, way: Way, *, ahead: bool) -> BlobReader:
        digest, size = way.digest, way.size
        while True:
            running = self._fills.get(way.key)
            if running is None:
                stored = self._warm.find(digest, size)
                if stored is not None and self._doubts.concern(digest, stored):
                    await self._doubts.settle(digest, stored)
                    continue
                if stored is not None:
                    return self._warm.reader(stored, digest, way)
                reader = await self._cold.begin(way, ahead=ahead)
                if reader is not None:
                    return reader
            elif running.failure is not None:
                # What is over must not be joined.
                await self._fills.ended(way.key)
            else:
                return self._cold.join(running, way, ahead=ahead)

    def hurries(self, digest: Digest, size: int, owner: str = "") -> bool:
        """Tell whether somebody waits for what is being fetched, in this process or another."""
        running = self._fills.get((digest, size, owner))
        return running is not None and running.joined

    def kept(self, digest: Digest, size: int) -> Kept:
        """Say what the disk has of a blob of this size in bytes; says nothing of its being used.

        A few system calls. What is only in the bucket is absent.
        """
        try:
            stored = self._store.peek(digest)
        except OSError:
            stored = None
        if stored is not None:
            stored.close()
            if stored.size == size:
                return Kept.STORED
        return Kept.FETCHING if self._fills.fetched(digest, size) else Kept.ABSENT

    def holds(self, digest: Digest, size: int) -> bool:
        """Tell whether a blob is stored, or being fetched; see `kept`."""
        return self.kept(digest, size) is not Kept.ABSENT

    def has_room(self, size: int) -> bool:
        """Tell whether a blob of so many bytes would take room from no other. Raises OSError."""
        return self._space.has_room(size)

    def pin(self, pins: Callable[[], Awaitable[Collection[Digest]]]) -> None:
        """Have the blobs that `pins` gives, whenever room is to be made, stay."""
        self._space.pins = pins

    def warm(self, digest: Digest, size: int, owner: str = "") -> BlobReader | None:
        """Open a blob that is stored and has this size in bytes, at once; None for all others.

        Never raises. What its file does not give after all, this reader does not get elsewhere.
        """
        key = (digest, size, owner)
        if key in self._cold.beginning or self._fills.get(key) is not None:
            return None
        try:
            stored = self._warm.find(digest, size)
        except OSError:
            # Where no descriptor is left, the others say so.
            return None
        if stored is None:
            return None
        if self._doubts.concern(digest, stored):
            stored.close()
            return None
        return self._warm.reader(stored, digest, None)

    async def verify(self, digest: Digest) -> bool:
        """Read a stored blob again, at once; see Scrubber."""
        return await self._scrubber(1 << 40).verify(digest)

    async def _verified(self, digest: Digest) -> StoredBlob | None:
        return self._store.peek(digest) if await self.verify(digest) else None

    async def sweep(self) -> None:
        """Count what is stored, and make room if there is too little; done now and then by itself.

        Raises OSError.
        """
        await self._space.sweep()

    async def uploaded(self) -> None:
        """Wait until what was fetched is in the bucket, or was given up."""
        await self._tier.settled()

    async def stop(self) -> None:
        """Break all fills off, end the threads; whoever still waits gets BlobFailed.

        What was spooled stays for a while: other processes go on with it, or this one when it is back.
        """
        self._cold.refuse()
        await self._background.stop()
        await self._doubts.stop()
        await self._fills.stop()
        await self._tier.stop()
        await self._detours.stop()
        self._lately.close()
        self._threads.close()

    def _scrubber(self, rate: int) -> Scrubber:
        keeping = self._keeping
        return Scrubber(
            self._store, self._folder, rate, self.measures, self._threads, keeping.drop, keeping.unreadable
        )
