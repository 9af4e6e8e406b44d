"""One fetch of one blob for all who want to read it, and for the store."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from io import FileIO
from pathlib import Path

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError, UpstreamRateLimited, UpstreamUnavailable
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.measures import Measures
from dataplane.blobs.patience import Patience
from dataplane.blobs.source import Source, Stream
from dataplane.blobs.spool import Spool

logger = logging.getLogger(__name__)

HELD_BACK = 256 * 1024
"""Bytes at the end of a blob that nobody gets before its digest is verified: all of it, when it is small."""

Keep = Callable[[Digest, int, Path], Awaitable[None]]
"""Takes a verified blob over: its digest, its size in bytes, its file. Must not raise."""


class Fill:
    """Fetches a blob into a spool file, through any number of broken upstream requests, and verifies it.

    It belongs to no reader: it starts with the first, and goes on to its end when all have left.
    """

    def __init__(
        self,
        digest: Digest,
        source: Source,
        spool: Spool,
        keep: Keep,
        measures: Measures,
        *,
        patience: Patience,
        sleep: Callable[[float], Awaitable[None]],
        chance: Callable[[], float],
    ) -> None:
        self.size = spool.size
        self._digest = digest
        self._source = source
        self._spool = spool
        self._keep = keep
        self._measures = measures
        self._patience = patience
        self._sleep = sleep
        self._chance = chance
        self._verified = False
        self._failure: UpstreamError | BlobFailed | None = None

    @property
    def failed(self) -> bool:
        """Whether readers get an error; there is no use in joining any more."""
        return self._failure is not None

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
            if await self._fetch():
                await self._keep(self._digest, self.size, self._spool.path)
        finally:
            await self._spool.discard()

    async def _fetch(self) -> bool:
        try:
            await self._transfer()
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
            self._fail(error)
        except UpstreamError as error:
            logger.warning("blob %s of %s could not be fetched: %s", self._digest, self._source, error)
            self._fail(error)
        except Exception as error:
            logger.exception("blob %s of %s could not be spooled", self._digest, self._source)
            self._fail(failed_here(self._digest, error))
        else:
            self._verified = True
            self._spool.grown.beat()
        return self._verified

    def _fail(self, failure: UpstreamError | BlobFailed) -> None:
        self._measures.failed_fills += 1
        self._failure = failure
        self._spool.grown.beat()

    async def _transfer(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._spool.write_behind())
                group.create_task(self._spool.hash_behind())
                group.create_task(self._receive_all())
        except ExceptionGroup as failures:
            # The first to fail is the cause; the others, if any, failed of the same.
            raise failures.exceptions[0] from None

    async def _receive_all(self) -> None:
        failures = 0
        while (start := self._spool.accepted) < self.size:
            failure = await self._receive_from(start)
            if self._spool.accepted == self.size:
                return
            if self._spool.accepted - start >= self._patience.progress:
                failures = 0
            failures += 1
            await self._pause(failure, failures)

    async def _receive_from(self, start: int) -> UpstreamError | BlobFailed:
        try:
            async with self._source.open(start) as stream:
                await self._receive(stream)
        except (UpstreamUnavailable, UpstreamRateLimited) as error:
            return error
        return BlobFailed(
            Fault.SIZE,
            f"The upstream's {self._digest} ends after {self._spool.accepted} bytes; "
            f"its manifest says {self.size}.",
        )

    async def _pause(self, failure: UpstreamError | BlobFailed, failures: int) -> None:
        done = self._spool.accepted
        pause = self._patience.pause(failure, failures, started=done > 0, chance=self._chance)
        if pause is None:
            raise failure
        logger.warning(
            "blob %s of %s broke off after %d of %d bytes, asked for again in %.1f s: %s",
            self._digest, self._source, done, self.size, pause, failure,
        )  # fmt: skip
        self._measures.resumes += 1
        await self._sleep(pause)

    async def _receive(self, stream: Stream) -> None:
        if stream.size not in (None, self.size):
            raise BlobFailed(
                Fault.SIZE,
                f"The upstream's {self._digest} has {stream.size} bytes; its manifest says {self.size}.",
            )
        # A registry that ignores Range starts from 0 again.
        known = self._spool.accepted - stream.offset
        if known < 0:
            raise BlobFailed(
                Fault.RANGE,
                f"The upstream was asked for {self._digest} from byte {self._spool.accepted}, "
                f"and answered from byte {stream.offset}.",
            )
        async with aclosing(stream.chunks()) as chunks:
            async for chunk in chunks:
                self._measures.upstream_bytes += len(chunk)
                fresh = chunk[known:] if known else chunk
                known = max(0, known - len(chunk))
                if len(fresh) > self.size - self._spool.accepted:
                    raise BlobFailed(
                        Fault.SIZE,
                        f"The upstream's {self._digest} has more than the {self.size} bytes of its manifest.",
                    )
                await self._spool.append(fresh)


def failed_here(digest: Digest, error: Exception) -> BlobFailed:
    """Make the verdict for what failed in this node, in words that show none of its paths."""
    cause = (error.strerror if isinstance(error, OSError) else None) or "an internal error"
    return BlobFailed(Fault.NODE, f"This node cannot fetch {digest}: {cause}; its log says more.")
