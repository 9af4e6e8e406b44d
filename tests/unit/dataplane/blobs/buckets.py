"""What tests of blobs in a bucket do over and over."""

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from io import FileIO

from clients.oci.digest import Digest
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.cache import BlobCache
from tests.fakes.blobs import Blob, content_of
from tests.fakes.sources import ScriptedSource
from tests.unit.dataplane.blobs.conformance import Read
from tests.unit.dataplane.blobs.reading import pull, settled


async def put(
    bucket: Bucket, digest: Digest, content: bytes, sent: Callable[[int], None] = lambda _: None
) -> bool:
    """Puts bytes by way of an anonymous file."""
    with FileIO(os.memfd_create("blob"), "r+") as file:
        file.write(content)
        return await bucket.put(digest, file, len(content), sent)


async def held(bucket: Bucket, digest: Digest) -> bytes | None:
    """What the bucket has under a digest."""
    async with bucket.open(digest) as stream:
        return None if stream is None else b"".join([chunk async for chunk in stream.chunks()])


async def filled(cache: BlobCache, blob: Blob) -> None:
    """Pulls a blob, and waits until it is in the bucket."""
    assert await pull(cache, blob, ScriptedSource(blob)) == content_of(blob)
    await settled(cache)
    await cache.uploaded()


async def put_by_itself(bucket: Bucket, blob: Blob) -> None:
    """Waits until a blob is in the bucket, whoever puts it there."""
    async with asyncio.timeout(20):
        while await held(bucket, blob.digest) != content_of(blob):  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.05)


class KeptInBucket:
    """See Kept."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._stack = AsyncExitStack()

    async def put(self, digest: Digest, content: bytes) -> None:
        await put(self._bucket, digest, content)

    async def open(self, digest: Digest) -> Read | None:
        stack = AsyncExitStack()
        stream = await stack.enter_async_context(self._bucket.open(digest))
        if stream is None:
            await stack.aclose()
            return None

        async def once() -> bytes:
            async with stack:
                return b"".join([chunk async for chunk in stream.chunks()])

        return once

    async def remove(self, digest: Digest) -> bool:
        return await self._bucket.remove(digest)

    async def sizes(self) -> dict[Digest, int]:
        return dict(await self._bucket.entries())
