"""Putting what was fetched into the bucket, behind the back of whoever reads it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from clients.oci.digest import Digest
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketFailed
from dataplane.blobs.claim import Claim
from dataplane.blobs.measures import Measures
from dataplane.blobs.owed import Owed
from dataplane.blobs.store import StoredBlob
from dataplane.blobs.threads import in_thread

logger = logging.getLogger(__name__)

# Uploads at one time; each holds one part in memory.
_AT_ONCE: Final = 2
# Uploads that wait: more only means that the bucket is slower than the upstreams for long.
_WAITING: Final = 100
_ATTEMPTS: Final = 3
_PAUSE: Final = 5.0  # seconds
# Seconds between two looks for what is owed to the bucket, of before a stop or as it failed.
_LOOK: Final = 30.0

Verified = Callable[[Digest], Awaitable[StoredBlob | None]]
"""Opens a stored blob that is read again and found right; None where there is none. Raises OSError."""


class Upload:
    """One of them."""

    def __init__(self, owed: Claim | None) -> None:
        self.owed = owed
        """The claim on it, where it could be noted."""
        self.moved = 0
        """Bytes that have gone to the bucket: of others, while it waits for them, and then its own."""


class Uploads:
    """Uploads of one process; `stop` it after the last.

    A blob is uploaded after it was verified, from the file that it was verified in: the bucket then never
    holds, not for a moment, what nobody has verified; a fetch that breaks off or turns out to be wrong
    costs no upload to take back; and a bucket that is slow slows no client down. What is broken off or given
    up is owed, and made good as long as it is stored.
    """

    def __init__(self, bucket: Bucket, folder: Path, measures: Measures) -> None:
        """Put blobs into bucket; what is owed to it is noted in folder, for all processes of the node."""
        self._bucket = bucket
        self._measures = measures
        self._owed = Owed(folder)
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: set[Upload] = set()
        self._drops: dict[Digest, asyncio.Task[None]] = {}

    def begin(self, digest: Digest, stored: StoredBlob, done: Callable[[], None]) -> Upload | None:
        """Upload a stored blob by and by; closes it. `done` is called when that has ended, however it did.

        None where it is not begun now.
        """
        owed = self._owed.note(digest)
        if len(self._tasks) >= _WAITING or self._bucket.pauses:
            stored.close()
            if owed is not None:
                owed.close()
            self._measures.bucket_failures += 1
            logger.warning(
                "blob %s is not put into %s now, which is behind or failing", digest, self._bucket.place
            )
            return None
        upload = Upload(owed)
        self._start(digest, stored, upload).add_done_callback(lambda _: done())
        return upload

    async def make_good(self, verified: Verified) -> None:
        """Put what is owed into the bucket, and look for more now and then, until cancelled."""
        while True:
            try:
                for digest in await in_thread(None, self._owed.left):
                    if self._bucket.pauses:
                        break
                    await self._make_good(digest, verified)
            except OSError as error:
                logger.warning("not all that the bucket is to get can be put there now: %s", error.strerror)
            await asyncio.sleep(_LOOK)

    async def _make_good(self, digest: Digest, verified: Verified) -> None:
        owed = self._owed.take(digest)
        if owed is None:
            return
        try:
            there = await self._bucket.size(digest) is not None
            stored = None if there else await verified(digest)
        except BucketFailed as error:
            logger.warning("blob %s is still to be put into %s: %s", digest, self._bucket.place, error)
            owed.close()
            return
        except OSError:
            # It is fetched when it is asked for again, and is put there then.
            stored = None
        except BaseException:
            owed.close()
            raise
        if stored is None:
            owed.end()
        else:
            await asyncio.wait([self._start(digest, stored, Upload(owed))])

    def _start(self, digest: Digest, stored: StoredBlob, upload: Upload) -> asyncio.Task[None]:
        self._waiting.add(upload)
        task = asyncio.create_task(self._run(digest, stored, upload), name=f"upload {digest}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Also when it is cancelled before it has begun.
        task.add_done_callback(lambda _: self._let_go(stored, upload))
        return task

    def _let_go(self, stored: StoredBlob, upload: Upload) -> None:
        self._waiting.discard(upload)
        stored.close()
        if upload.owed is not None:
            upload.owed.close()

    def drop(self, digest: Digest) -> None:
        """Remove from the bucket what turned out to be wrong."""
        if digest in self._drops:
            return
        task = asyncio.create_task(self._drop(digest), name=f"drop {digest}")
        self._tasks.add(task)
        self._drops[digest] = task
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self._drops.pop(digest))

    async def settled(self) -> None:
        """Wait until nothing is to be done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def stop(self) -> None:
        """Break off what is under way: the next start makes it good."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, digest: Digest, stored: StoredBlob, upload: Upload) -> None:
        async with self._turn:
            self._waiting.discard(upload)
            # What is dropped would be taken for this one, or this one for it.
            if digest in self._drops:
                await asyncio.wait([self._drops[digest]])
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    if await self._bucket.put(digest, stored.file, stored.size, partial(self._sent, upload)):
                        self._measures.bucket_uploads += 1
                except (BucketFailed, OSError) as error:
                    self._measures.bucket_failures += 1
                    logger.warning("blob %s could not be put into %s: %s", digest, self._bucket.place, error)
                else:
                    if upload.owed is not None:
                        upload.owed.end()
                    return
                await asyncio.sleep(_PAUSE * attempt)

    def _sent(self, upload: Upload, count: int) -> None:
        for each in (upload, *self._waiting):
            each.moved += count

    async def _drop(self, digest: Digest) -> None:
        try:
            await self._bucket.remove(digest)
        except BucketFailed as error:
            logger.warning("blob %s is wrong in %s, and stays: %s", digest, self._bucket.place, error)
