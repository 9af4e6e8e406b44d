"""Reading what is stored again, slowly, to drop what is no longer what its digest names."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from clients.oci.digest import Digest
from dataplane.blobs.hashing import FileHash
from dataplane.blobs.held import alone_with
from dataplane.blobs.measures import Measures
from dataplane.blobs.store import BlobStore, StoredBlob
from dataplane.blobs.threads import Threads

logger = logging.getLogger(__name__)

_STEP: Final = 1024 * 1024  # bytes between two pauses
_ROUND: Final = 86_400.0  # seconds from the start of one round to that of the next, at least
_IDLE: Final = 60.0  # seconds after which to see whether there is something to do
_SAVED_EVERY: Final = 64  # blobs


class Unreadable(OSError):
    """The disk fails to give a stored blob, which says nothing of its bytes: it stays."""


class Scrubber:
    """Goes through the store round by round, in one process of the node, at `rate` bytes a second.

    A restart goes on where it was. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        store: BlobStore,
        folder: Path,
        rate: int,
        measures: Measures,
        threads: Threads,
        drop: Callable[[Digest, int], Awaitable[None]],
        unreadable: Callable[[Digest, int, OSError], None] = lambda *_: None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Describe it; drop removes a stored blob of so many bytes, and may raise OSError.

        `unreadable` is told of a blob whose file, an inode, the disk fails to give.
        """
        self._store = store
        self._folder = folder
        self._rate = rate
        self._measures = measures
        self._threads = threads
        self._drop = drop
        self._unreadable = unreadable
        self._sleep = sleep
        self._clock = clock

    async def run(self) -> None:
        """Scrub for ever; trouble with the disk is logged, and tried again."""
        while True:
            try:
                with alone_with(self._folder / "scrub.lock") as alone:
                    while alone:
                        await self.round()
                        await self._sleep(_IDLE)
            except OSError as error:
                logger.warning("stored blobs cannot be verified now: %s", error.strerror)
            await self._sleep(_IDLE)

    async def round(self) -> None:
        """Do what is left of a round, if it is time for one. Raises OSError."""
        after, begun = await self._threads.disk(self._load)
        now = self._clock()
        if after is None:
            # A clock that was set back does not stop it.
            if 0 <= now - begun < _ROUND:
                return
            after, begun = "", now
        digests = sorted(entry.digest for entry in await self._store.entries())
        for count, digest in enumerate(digest for digest in digests if str(digest) > after):
            if count % _SAVED_EVERY == 0:
                await self._threads.disk(self._save, after, begun)
            # The others are read all the same.
            with suppress(Unreadable):
                await self.verify(digest)
            after = str(digest)
        await self._threads.disk(self._save, None, begun)

    async def verify(self, digest: Digest) -> bool:
        """Read one blob again, and vouch for it; False when it was rotten, and is dropped.

        Raises Unreadable where the disk fails, and OSError where the rotten one cannot be dropped.
        """
        stored = self._store.peek(digest)
        if stored is None:
            return True
        try:
            right = await self._read(digest, stored)
        except OSError as error:
            self._unreadable(digest, stored.inode, error)
            await self._sleep(_STEP / self._rate)
            raise Unreadable(error.errno, error.strerror) from error
        finally:
            stored.close()
        if right:
            self._vouch(digest, stored)
            return True
        self._measures.rotten += 1
        logger.error("stored blob %s is rotten, and dropped: its bytes have another digest", digest)
        await self._drop(digest, stored.size)
        return False

    def _vouch(self, digest: Digest, stored: StoredBlob) -> None:
        if stored.changed is None:
            return
        try:
            self._store.vouch(digest, stored.changed)
        except OSError as error:
            logger.warning("that stored blob %s was verified cannot be kept: %s", digest, error.strerror)

    async def _read(self, digest: Digest, stored: StoredBlob) -> bool:
        digest_of_file = FileHash(digest)
        while (at := digest_of_file.position) < stored.size:
            stop = min(stored.size, at + _STEP)
            await self._threads.hash(digest_of_file.read, stored.file.fileno(), stop)
            self._measures.scrubbed_bytes += stop - at
            await self._sleep((stop - at) / self._rate)
        return digest_of_file.is_right()

    def _load(self) -> tuple[str | None, float]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            state: dict[str, Any] = json.loads((self._folder / "scrub.json").read_bytes())
            return None if state["after"] is None else str(state["after"]), float(state["begun"])
        return None, float("-inf")

    def _save(self, after: str | None, begun: float) -> None:
        fresh = self._folder / "scrub.new"
        fresh.write_text(json.dumps({"after": after, "begun": begun}))
        fresh.replace(self._folder / "scrub.json")
