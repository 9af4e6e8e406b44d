"""Where a node keeps blobs: a cache on its disk, perhaps a bucket behind it, to which clients may be sent."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketClient
from dataplane.blobs.bucket_leases import BucketLeases
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.files import FileStore
from dataplane.blobs.leases import Leases
from dataplane.blobs.measures import Measures
from dataplane.blobs.signer import Signer
from dataplane.blobs.space import Limits
from dataplane.blobs.turns import Turns
from dataplane.descriptors import Descriptors
from dataplane.http.redirects import Redirects
from dataplane.identity import identity
from dataplane.settings import Settings


@dataclass(frozen=True, slots=True)
class Storage:
    """What the settings of a node make of it."""

    cache: BlobCache
    """To be started and stopped by whoever made this."""
    redirects: Redirects | None
    """Which requests are answered with where the blob is; None for none."""

    @classmethod
    async def make(
        cls,
        settings: Settings,
        data_dir: Path,
        measures: Measures,
        descriptors: Descriptors,
        tell_trouble: Callable[[str], None],
        stack: AsyncExitStack,
    ) -> Self:
        """Put it together; what is to be closed behind the cache is left on the stack.

        Raises ConfigurationError. `tell_trouble` is told what other processes should hear of the disk.
        """
        blobs = settings.blob_directory(data_dir)
        place = settings.bucket
        bucket = None if place is None else Bucket(await stack.enter_async_context(BucketClient(place)))
        redirects = await _redirects(settings, bucket, measures, stack)
        cache = BlobCache(
            FileStore(blobs),
            blobs / "spool",
            limits=Limits(settings.cache_max_bytes or None, settings.cache_min_free_bytes),
            scrub_rate=settings.scrub_rate,
            bucket=bucket,
            turns=await _turns(settings, bucket, data_dir, measures, stack),
            measures=measures,
            descriptors=descriptors,
            tell_trouble=tell_trouble,
        )
        return cls(cache, redirects)


async def _turns(
    settings: Settings, bucket: Bucket | None, data_dir: Path, measures: Measures, stack: AsyncExitStack
) -> Turns | None:
    longest, redis_url = settings.s3_wait.total_seconds(), settings.redis_url
    if bucket is None or not longest:
        return None
    owner = await asyncio.to_thread(identity, data_dir / "node" / "identity")
    leases: Leases
    if redis_url:
        # A megabyte or two that most nodes do without.
        from dataplane.blobs.redis_leases import RedisLeases  # noqa: PLC0415

        leases = RedisLeases.at(redis_url, bucket.place, owner)
    else:
        leases = BucketLeases(bucket.client, owner)
    stack.push_async_callback(leases.close)
    return Turns(leases, bucket, measures, longest)


async def _redirects(
    settings: Settings, bucket: Bucket | None, measures: Measures, stack: AsyncExitStack
) -> Redirects | None:
    rule = settings.redirect_rule
    if bucket is None or rule.above is None:
        return None
    signer = Signer(bucket.client, settings.s3_public_endpoint or bucket.place.endpoint)
    await signer.start()
    redirects = Redirects(rule, bucket, signer, measures)
    stack.push_async_callback(redirects.stop)
    return redirects
