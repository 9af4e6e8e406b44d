"""One fetch of one blob for all who want to read it, and for the store."""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from io import FileIO
from pathlib import Path

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError
from clients.process.descriptors import is_shortage
from dataplane.blobs.claim import Claim
from dataplane.blobs.errors import BlobFailed, Fault, NotSpooled, out_of_descriptors
from dataplane.blobs.measures import Measures
from dataplane.blobs.patience import Patience
from dataplane.blobs.spool import Spool
from dataplane.blobs.transfer import Transfer
from dataplane.blobs.way import Key, Way

logger = logging.getLogger(__name__)

HELD_BACK = 256 * 1024
"""Bytes at the end of a blob that nobody gets before its digest is verified: all of it, when it is small."""

Keep = Callable[[Key, Path], Awaitable[None]]
"""Takes a verified blob over: what it was fetched as, its file. Must not raise."""


class Fill:
    """Fetches a blob into a spool file, through any number of broken upstream requests, and verifies it.

    It belongs to no reader: it starts with the first, and goes on to its end when all have left. When
    the process ends before it does, the spool file stays, and another process goes on from there: one
    that follows at once, or whoever asks next.
    """

    def __init__(
        self,
        way: Way,
        spool: Spool,
        claim: Claim,
        keep: Keep,
        measures: Measures,
        patience: Patience,
    ) -> None:
        """Fill spool, under a claim that is held and that has announced it."""
        self.size = spool.size
        self.in_order = False
        self._way = way
        self._digest = way.digest
        self._source = way.shared or way.source
        self._spool = spool
        self._claim = claim
        self._keep = keep
        self._measures = measures
        self._patience = patience
        self._verified = False
        self._failure: UpstreamError | BlobFailed | None = None
        self._joined = False

    @property
    def failure(self) -> UpstreamError | BlobFailed | None:
        """What readers get, once there is no use in joining any more."""
        return self._failure

    @property
    def reached(self) -> int:
        """Bytes that are in the spool file."""
        return self._spool.written

    @property
    def joined(self) -> bool:
        """Whether somebody waits for it, in this process or another, whoever began it."""
        return self._joined or self._claim.is_joined()

    def join(self) -> None:
        """Note that somebody waits for it."""
        self._joined = True

    def open(self) -> FileIO:
        """Open the growing file for one more reader; raises OSError."""
        return self._spool.open()

    async def available(self, position: int) -> int:
        """Wait until bytes from position on may be served; returns where they end (exclusive).

        Raises what made the fill fail: the upstream's own UpstreamError, or BlobFailed.
        """
        while True:
            if self._failure is not None:
                # One object for all readers: each would make the traceback of the one before longer.
                raise self._failure.with_traceback(None)
            end = self.size if self._verified else min(self._spool.written, self.size - HELD_BACK)
            if end > position:
                return end
            await self._spool.grown.wait()

    async def run(self) -> None:
        """Fetch, verify and keep; failures go to the readers and to the log. Raises only when cancelled."""
        try:
            await self._run()
        finally:
            self._way.over()

    async def _run(self) -> None:
        try:
            verified = await self._fetch()
        except asyncio.CancelledError:
            self._spool.leave()
            self._claim.close()
            raise
        try:
            if verified:
                await self._keep(self._way.key, self._spool.path)
        finally:
            try:
                await self._spool.discard()
            finally:
                self._claim.end()

    async def _fetch(self) -> bool:
        try:
            await self._fill()
            if not self._spool.is_right() and self._may_start_again():
                self._spool.clear()
                await self._fill()
            if not self._spool.is_right():
                self._measures.digest_mismatches += 1
                raise BlobFailed(
                    Fault.DIGEST,
                    f"The upstream sent {self.size} bytes as {self._digest} that have another digest.",
                )
        except asyncio.CancelledError:
            self._fail(BlobFailed(Fault.STOPPED, "This node is stopping: pull again."))
            raise
        except BlobFailed as error:
            logger.error("blob %s of %s was refused: %s", self._digest, self._source, error)  # noqa: TRY400 - the sentence says it all
            self._settle(error)
        except UpstreamError as error:
            logger.warning("blob %s of %s could not be fetched: %s", self._digest, self._source, error)
            self._settle(error)
        except Exception as error:
            logger.exception("blob %s of %s could not be spooled", self._digest, self._source)
            self._settle(failed_here(self._digest, error))
        else:
            self._verified = True
            self._claim.settle(None)
            self._spool.grown.beat()
        return self._verified

    def _may_start_again(self) -> bool:
        """Tell whether other bytes can be had, and nobody has got one of the wrong ones."""
        return self._way.distrust(self._source) and self.size <= HELD_BACK

    def _settle(self, failure: UpstreamError | BlobFailed) -> None:
        self._claim.settle(failure)
        self._fail(failure)

    def _fail(self, failure: UpstreamError | BlobFailed) -> None:
        self._measures.failed_fills += 1
        self._failure = failure
        self._spool.grown.beat()

    async def _fill(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._spool.keep_behind())
                group.create_task(self._receive())
        except ExceptionGroup as failures:
            # The first to fail is the cause; the others, if any, failed of the same.
            raise failures.exceptions[0] from None

    async def _receive(self) -> None:
        transfer = Transfer(
            self._digest,
            self.size,
            self._source,
            self._measures,
            self._patience,
            position=self._spool.accepted,
        )
        async with aclosing(transfer.chunks()) as chunks:
            async for chunk in chunks:
                await self._spool.append(chunk)


def failed_here(digest: Digest, error: Exception) -> BlobFailed:
    """Make the verdict for what failed in this node, in words that show none of its paths."""
    if isinstance(error, OSError) and is_shortage(error):
        return out_of_descriptors()
    if not isinstance(error, OSError):
        return BlobFailed(
            Fault.NODE, f"This node cannot fetch {digest}: an internal error; its log says more."
        )
    cause = error.strerror or errno.errorcode.get(error.errno or 0, "an error of its disk")
    return NotSpooled(f"This node cannot keep {digest} on disk: {cause}; its log says more.")
