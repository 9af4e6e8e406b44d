"""The fetches that this process makes or follows."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from clients.oci.digest import Digest
from dataplane.blobs.claim import SUFFIX, Claim
from dataplane.blobs.errors import NotSpooled
from dataplane.blobs.fill import Fill, Keep
from dataplane.blobs.follow import Follow
from dataplane.blobs.held import is_held, open_held
from dataplane.blobs.measures import Measures
from dataplane.blobs.patience import Patience
from dataplane.blobs.spool import SPOOL_SUFFIX, Spool
from dataplane.blobs.threads import Threads
from dataplane.blobs.trouble import Trouble
from dataplane.blobs.watch import Watch
from dataplane.blobs.way import Key, Way, name_of

logger = logging.getLogger(__name__)

Running = Fill | Follow


class Fills:
    """Begins fills under a claim, follows those of other processes; `stop` it after the last.

    The spool of a blob and its claim stand side by side, named by the digest, the size that the manifest
    says, and who vouches for both: what two manifests disagree on is fetched apart, and what two owners have.
    """

    def __init__(
        self,
        folder: Path,
        keep: Keep,
        trouble: Trouble,
        measures: Measures,
        threads: Threads,
        patience: Patience,
    ) -> None:
        self._folder = folder
        self._keep = keep
        self._trouble = trouble
        self._measures = measures
        self._threads = threads
        self._patience = patience
        self._watch = Watch()
        self._running: dict[Key, Running] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def get(self, key: Key) -> Running | None:
        """Give what is running for a digest, size and owner."""
        return self._running.get(key)

    def fetched(self, digest: Digest, size: int) -> bool:
        """Tell whether a blob is being fetched, by this process or another; what was left is not."""
        if any(key[:2] == (digest, size) for key in self._running):
            return True
        spools = self._folder.glob(f"{digest.encoded}.*{SPOOL_SUFFIX}")
        return any(is_held(spool) for spool in spools if spool.stem.endswith(f".{size}"))

    async def ended(self, key: Key) -> None:
        """Wait until nothing is running for it."""
        if key in self._tasks:
            await asyncio.wait([self._tasks[key]])

    @asynccontextmanager
    async def claim(self, way: Way) -> AsyncIterator[Claim]:
        """Open the blob's claim, and take it if it is free; closed at the end unless `run` made use of it.

        Raises OSError.
        """
        claim = Claim(self._named(way.key, SUFFIX))
        try:
            claim.take()
            yield claim
        finally:
            if way.key not in self._running:
                claim.close()

    def run(self, way: Way, claim: Claim) -> Running | None:
        """Fill, or follow who holds the claim; None where it has only begun or just ended. Raises OSError."""
        running: Running
        if not claim.held:
            spool = claim.spool()
            try:
                file = open_held(self._spool(way.key))
            except FileNotFoundError:
                return None
            # Of a claim that has ended, the number may mean the next one's file.
            if spool != os.fstat(file.fileno()).st_ino or not claim.is_current():
                file.close()
                return None
            running = Follow(
                way.digest,
                way.size,
                file,
                claim,
                self._watch,
                lambda held, spool: self._go_on(way, held, spool),
            )
        elif claim.is_current():
            running = self._fill(way, claim, adopt=self._left(way, claim))
        else:
            return None
        key = way.key
        self._measures.running_fills += 1
        self._running[key] = running
        self._tasks[key] = asyncio.create_task(self._run(key, running), name=f"fill {way.digest}")
        return running

    async def stop(self) -> None:
        """Break all of them off."""
        # One that was started in this very turn gets to the point where it cleans up behind itself.
        await asyncio.sleep(0)
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watch.close()

    async def _run(self, key: Key, running: Running) -> None:
        try:
            await running.run()
            if isinstance(running.failure, NotSpooled):
                self._trouble.note(str(running.failure))
        finally:
            self._measures.running_fills -= 1
            del self._running[key], self._tasks[key]

    def _left(self, way: Way, claim: Claim) -> bool:
        """Tell whether another process left a spool that can be gone on with; removes one that cannot."""
        path = self._spool(way.key)
        try:
            status = path.stat()
        except FileNotFoundError:
            return False
        if claim.spool() == status.st_ino and status.st_size <= way.size and claim.failure() is None:
            return True
        path.unlink()
        return False

    def _go_on(self, way: Way, claim: Claim, spool: int) -> Fill:
        if not self._left(way, claim) or self._spool(way.key).stat().st_ino != spool:
            raise FileNotFoundError(0, "the spool file is gone")
        return self._fill(way, claim, adopt=True)

    def _fill(self, way: Way, claim: Claim, *, adopt: bool) -> Fill:
        try:
            spool = Spool(self._spool(way.key), way.digest, way.size, self._threads, adopt=adopt)
        except BaseException:
            # What another process has left may be of use to the next.
            if not adopt:
                claim.end()
            raise
        if adopt:
            self._measures.takeovers += 1
        try:
            claim.announce(spool.inode)
        except BaseException:
            spool.path.unlink()
            spool.leave()
            claim.end()
            raise
        return Fill(way, spool, claim, self._keep, self._measures, self._patience)

    def _spool(self, key: Key) -> Path:
        return self._named(key, SPOOL_SUFFIX)

    def _named(self, key: Key, suffix: str) -> Path:
        return self._folder / f"{name_of(key)}{suffix}"
