"""Bytes of a blob straight from its source to one reader, stored nowhere."""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial
from io import FileIO
from typing import Final

from clients.oci.errors import UpstreamError
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.fill import HELD_BACK
from dataplane.blobs.hashing import FileHash
from dataplane.blobs.measures import Measures
from dataplane.blobs.patience import Patience
from dataplane.blobs.store import OpenFile
from dataplane.blobs.threads import Threads
from dataplane.blobs.transfer import Transfer
from dataplane.blobs.way import Way

logger = logging.getLogger(__name__)

# Chunks that wait for their reader; with the tail, what a detour costs in memory.
_AHEAD: Final = 2
# Bytes of a blob's beginning that are read and hashed at a time.
_HASH_STEP: Final = 8 * 1024 * 1024


class Detour:
    """The bytes from start to stop (exclusive) of a blob, by an upstream request of their own.

    A detour that goes to the end of the blob, and whose beginning can be had from `before`, is verified
    like any other: the hash is of what is in the file up to start and of what arrives, and the last bytes
    are held back. A part without its beginning cannot be verified by itself: a digest names the whole.
    Such a part is passed through as it comes, as every pull-through cache does, and is never stored.
    Clients that ask for parts verify the whole, or the parts by digests of their own (SOCI, eStargz).
    """

    def __init__(
        self,
        transfer: Transfer,
        start: int,
        threads: Threads,
        hash_: FileHash | None,
        before: OpenFile | None,
        distrust: Callable[[], bool],
    ) -> None:
        """Begin; with hash_ it is verified, and before, taken over, has the bytes before the transfer's.

        `distrust` is called where they are wrong.
        """
        self._start = start
        self._transfer = transfer
        self._threads = threads
        self._hash = hash_
        self._before = before
        self._distrust = distrust
        self._pieces: asyncio.Queue[bytes | memoryview | None] = asyncio.Queue(_AHEAD)
        self._begun = asyncio.Event()
        self._empty = True
        self._failure: UpstreamError | BlobFailed | None = None
        self.task = asyncio.create_task(self._run(), name=f"detour {transfer.digest}")
        # Also when it is broken off before it has begun.
        self.task.add_done_callback(self._ended)

    async def begun(self) -> None:
        """Wait for the first byte; raises UpstreamError or BlobFailed where it cannot be had."""
        await self._begun.wait()
        if self._failure is not None and self._empty:
            raise self._failure.with_traceback(None)

    async def pieces(self) -> AsyncGenerator[memoryview, None]:
        """Give the bytes as they arrive; raises UpstreamError or BlobFailed."""
        while (piece := await self._pieces.get()) is not None:
            yield memoryview(piece)
        if self._failure is not None:
            raise self._failure.with_traceback(None)

    def close(self) -> None:
        """Break it off."""
        self.task.cancel()

    async def _run(self) -> None:
        try:
            await self._pass()
        except (UpstreamError, BlobFailed) as error:
            self._failure = error
        except Exception as error:
            logger.exception("blob %s could not be passed through", self._transfer.digest)
            cause = error.strerror if isinstance(error, OSError) else "an internal error"
            self._failure = BlobFailed(Fault.NODE, f"This node cannot pass the blob through: {cause}.")
        self._begun.set()
        await self._pieces.put(None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self._before is not None:
            self._before.close()
        if task.cancelled():
            self._failure = BlobFailed(Fault.STOPPED, "This node is stopping: pull again.")
            # Whoever still waits would wait for ever.
            while self._pieces.full():
                self._pieces.get_nowait()
            self._pieces.put_nowait(None)
            self._begun.set()

    async def _pass(self) -> None:
        transfer, hash_ = self._transfer, self._hash
        if hash_ is not None and self._before is not None:
            while hash_.position < transfer.position:
                # In turns with other detours; who leaves waits for no more than one.
                stop = min(transfer.position, hash_.position + _HASH_STEP)
                await self._threads.hash_aside(hash_.read, self._before.fileno(), stop)
        free = transfer.size if hash_ is None else transfer.size - HELD_BACK
        tail = bytearray()
        async with aclosing(transfer.chunks()) as chunks:
            async for chunk in chunks:
                if hash_ is not None:
                    await self._threads.hash_aside(hash_.add, chunk)
                at = transfer.position - len(chunk)
                first = min(len(chunk), max(0, self._start - at))
                last = max(first, free - at)
                tail += chunk[last:]
                await self._put(chunk[first:last])
        if hash_ is not None and not hash_.is_right():
            # Too late for this reader; the next one gets others.
            self._distrust()
            raise BlobFailed(
                Fault.DIGEST,
                f"The upstream sent {transfer.size} bytes as {transfer.digest} that have another digest.",
            )
        await self._put(bytes(tail))

    async def _put(self, piece: bytes | memoryview) -> None:
        if piece:
            await self._pieces.put(piece)
            self._empty = False
            self._begun.set()


class Detours:
    """All detours of one process, so many at a time; `stop` it after the last."""

    def __init__(self, threads: Threads, measures: Measures, patience: Patience, most: int) -> None:
        self._threads = threads
        self._measures = measures
        self._patience = patience
        self._most = most
        self._running: set[asyncio.Task[None]] = set()

    @property
    def free(self) -> bool:
        """Whether one more may be begun."""
        return sum(not task.done() for task in self._running) < self._most

    def begin(
        self,
        way: Way,
        start: int,
        stop: int,
        before: OpenFile | None,
        *,
        from_zero: bool = False,
        skips: bool = True,
    ) -> Detour:
        """Begin a detour; before, where it is given, holds the bytes up to start.

        With `from_zero` all bytes are asked for, so that the end can be verified; for `skips` see Transfer.
        Raises BlobFailed when too many are running.
        """
        if not self.free:
            raise BlobFailed(Fault.NODE, "This node passes too many blobs by its disk already: pull again.")
        self._measures.detours += 1
        position = 0 if from_zero else start
        transfer = Transfer(
            way.digest,
            way.size,
            way.source,
            self._measures,
            self._patience,
            position=position,
            stop=stop,
            skips=skips,
        )
        verified = stop == way.size and (position == 0 or before is not None)
        copy = FileIO(os.dup(before.fileno()), "rb") if before is not None and verified else None
        hash_ = FileHash(way.digest) if verified else None
        detour = Detour(transfer, start, self._threads, hash_, copy, partial(way.distrust, way.source))
        self._running.add(detour.task)
        detour.task.add_done_callback(self._running.discard)
        return detour

    async def stop(self) -> None:
        """Break all of them off."""
        running = list(self._running)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
