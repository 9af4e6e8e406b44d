"""A fetch that another process of the node makes, as this one's readers see it."""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from typing import Final

from clients.oci.digest import Digest
from dataplane.blobs.claim import Claim
from dataplane.blobs.errors import BlobFailed, Fault, NotSpooled
from dataplane.blobs.fill import HELD_BACK, Fill, failed_here
from dataplane.blobs.pulse import Pulse
from dataplane.blobs.verdict import Failure
from dataplane.blobs.watch import Watch

logger = logging.getLogger(__name__)

# Seconds without news after which to look: soon after the last news, for the kernel tells that the other
# process has closed its claim a moment before it lets go of the lock; then rarely, in case news is lost.
_SOON: Final = 0.05
_RARELY: Final = 1.0


class Follow:
    """Tails a spool file that another process fills; goes on with it when that process ends before."""

    def __init__(
        self,
        digest: Digest,
        size: int,
        file: FileIO,
        claim: Claim,
        watch: Watch,
        take_over: Callable[[Claim, int], Fill],
    ) -> None:
        """Follow the growth of file, which the claim has announced.

        `take_over` makes a Fill that goes on with the file of an inode, under the claim, which is then
        held; it raises OSError.
        """
        self.size = size
        self.in_order = False
        self._digest = digest
        self._file = file
        self._claim = claim
        self._watch = watch
        self._take_over = take_over
        self._reached = 0
        self._grown = Pulse()
        self._verified = False
        self._failure: Failure | None = None
        self._fill: Fill | None = None

    @property
    def failure(self) -> Failure | None:
        """See Fill."""
        return self._failure if self._fill is None else self._fill.failure

    @property
    def reached(self) -> int:
        """See Fill."""
        return self._reached if self._fill is None else self._fill.reached

    @property
    def joined(self) -> bool:
        """See Fill."""
        return self._claim.is_joined() if self._fill is None else self._fill.joined

    def join(self) -> None:
        """See Fill; told to the process that fetches."""
        if self._fill is not None:
            self._fill.join()
        elif not self._claim.is_joined():
            # It is then only not as fast as it might be.
            with suppress(OSError):
                self._claim.join()

    def open(self) -> FileIO:
        """See Fill."""
        return FileIO(os.dup(self._file.fileno()), "rb")

    async def available(self, position: int) -> int:
        """See Fill."""
        while self._fill is None:
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            end = self.size if self._verified else min(self._reached, self.size - HELD_BACK)
            if end > position:
                return end
            await self._grown.wait()
        return await self._fill.available(position)

    async def run(self) -> None:
        """Follow to the end, or fetch the rest. Raises only when cancelled."""
        try:
            if await self._is_abandoned():
                logger.warning(
                    "blob %s: the process that fetched it has ended; this one goes on", self._digest
                )
                self._fill = self._take_over(self._claim, self._inode())
                self._grown.beat()
                await self._fill.run()
        except asyncio.CancelledError:
            self._fail(BlobFailed(Fault.STOPPED, "This node is stopping: pull again."))
            raise
        except OSError as error:
            logger.exception("blob %s could not be followed", self._digest)
            self._fail(failed_here(self._digest, error))
        finally:
            self._claim.close()
            self._file.close()

    async def _is_abandoned(self) -> bool:
        """Wait for the end of the other's fetch; tells whether it ended without a verdict."""
        with self._watch.on(self._claim.fileno(), self._file.fileno()) as changes:
            longest = _SOON
            while True:
                grown = self._look()
                if self._claim.is_settled():
                    self._settle()
                    return False
                if not grown and self._claim.take():
                    # It may have been settled and ended after the look.
                    if not self._claim.is_settled() and self._claim.is_current():
                        return True
                    self._settle()
                    return False
                longest = _SOON if await changes.wait(longest) else _RARELY

    def _look(self) -> bool:
        reached = min(self.size, os.fstat(self._file.fileno()).st_size)
        grown, self._reached = reached > self._reached, reached
        if grown:
            self._grown.beat()
        return grown

    def _inode(self) -> int:
        return os.fstat(self._file.fileno()).st_ino

    def _settle(self) -> None:
        # Of a fetch that began anew under the same claim, the verdict is about another file.
        if not self._claim.is_settled() or self._claim.spool() != self._inode():
            self._fail(NotSpooled(f"This node has lost its copy of {self._digest}."))
        elif (failure := self._claim.failure()) is not None:
            self._fail(failure)
        else:
            self._verified = True
            self._grown.beat()

    def _fail(self, failure: Failure) -> None:
        self._failure = failure
        self._grown.beat()
