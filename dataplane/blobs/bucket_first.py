"""A blob from the bucket where it has it, and from its upstream otherwise."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamUnavailable
from dataplane.blobs.bucket import Bucket, BucketStream
from dataplane.blobs.bucket_client import BucketFailed
from dataplane.blobs.measures import Measures
from dataplane.blobs.source import Source, Stream
from dataplane.blobs.turns import Came

Come = Callable[[Came, Callable[[], None]], Awaitable[bool]]
"""Waits for this node's turn, and tells whether the bucket has the blob after all.

It is given what tells how many bytes have come from upstream, and what to call where these come slowly and
the bucket has the blob by then.
"""

logger = logging.getLogger(__name__)


class BucketFirst:
    """A Source of one blob, for one fetch.

    A bucket is only another place to fetch from: its bytes are verified like an upstream's. One that
    fails is not asked again in the same fetch: the upstream goes on where it broke off. One that does not
    have the blob is, where the upstream breaks off: another node may have put it there.
    """

    def __init__(
        self,
        digest: Digest,
        size: int,
        bucket: Bucket,
        upstream: Source,
        measures: Measures,
        come: Come | None = None,
    ) -> None:
        """Look into bucket, and then wait for `come`, if it is given, before upstream is asked."""
        self._digest = digest
        self._size = size
        self._bucket = bucket
        self._upstream = upstream
        self._measures = measures
        self._come = come
        self._skips_bucket = self._waited = self._leaves = False
        self.used_bucket = False
        """Whether bytes came from the bucket, so that they may be what is wrong."""
        # From upstream: how many bytes, and up to where in the blob.
        self._came = self._at = 0

    def __str__(self) -> str:
        return f"{self._bucket.place} or {self._upstream}" if self.used_bucket else str(self._upstream)

    @asynccontextmanager
    async def open(self, offset: int, stop: int | None = None) -> AsyncIterator[Stream]:
        """See Source."""
        async with AsyncExitStack() as stack:
            stream: Stream | None = await self._from_bucket(stack, offset, stop)
            if stream is None:
                stream = await stack.enter_async_context(self._upstream.open(offset, stop))
                if self._come is not None:
                    stream = _Counted(stream, self._count)
            yield stream

    def distrust(self) -> bool:
        """Leave the bucket out from now on; tells whether that changes anything."""
        changes, self._skips_bucket = self.used_bucket and not self._skips_bucket, True
        return changes

    def failed(self, error: BucketFailed) -> None:
        """Note that the bucket broke off."""
        self._skips_bucket = True
        self._measures.bucket_failures += 1
        logger.warning(
            "blob %s is fetched from its upstream, for %s failed: %s", self._digest, self._bucket.place, error
        )

    def came(self) -> int | None:
        """Tell how many bytes have come from upstream; None once the last of them has."""
        return self._came if self._at < self._size else None

    def leave(self) -> None:
        """Break the upstream off when its next bytes come: the bucket has them all."""
        self._leaves = not self._skips_bucket

    def _count(self, at: int, length: int) -> None:
        if self._leaves:
            self._leaves = False
            raise UpstreamUnavailable("the bucket", "Another node has put the blob into the bucket.")
        self._at = at
        self._came += length

    async def _from_bucket(self, stack: AsyncExitStack, offset: int, stop: int | None) -> Stream | None:
        if self._skips_bucket or self._bucket.pauses:
            return None
        opened = partial(self._bucket.open, self._digest, offset, stop)
        try:
            stream = await stack.enter_async_context(opened())
            if stream is None and self._come is not None and not self._waited:
                self._waited = True
                if await self._come(self.came, self.leave):
                    stream = await stack.enter_async_context(opened())
        except BucketFailed as error:
            self.failed(error)
            return None
        if stream is None:
            return None
        if stream.size != self._size:
            self.failed(BucketFailed(f"it has {stream.size} bytes instead of {self._size}"))
            # Not held until the upstream is done, which may be long.
            await stack.aclose()
            return None
        self.used_bucket = True
        self._measures.bucket_hits += 1
        return _Stream(stream, self)


class _Stream:
    """The bucket's stream with an upstream's errors."""

    def __init__(self, stream: BucketStream, source: BucketFirst) -> None:
        self._stream = stream
        self._source = source
        self.offset = stream.offset
        self.size: int | None = stream.size

    async def chunks(self) -> AsyncGenerator[bytes | memoryview, None]:
        try:
            async with aclosing(self._stream.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        except BucketFailed as error:
            self._source.failed(error)
            raise UpstreamUnavailable("the bucket", "The bucket broke the transfer off.") from error


class _Counted:
    """An upstream's stream whose bytes are counted: `count` is told where each piece ends, and its length."""

    def __init__(self, stream: Stream, count: Callable[[int, int], None]) -> None:
        self._stream = stream
        self._count = count
        self.offset = stream.offset
        self.size = stream.size

    async def chunks(self) -> AsyncGenerator[bytes | memoryview, None]:
        at = self.offset
        async with aclosing(self._stream.chunks()) as chunks:
            async for chunk in chunks:
                at += len(chunk)
                self._count(at, len(chunk))
                yield chunk
