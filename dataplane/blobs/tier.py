"""A bucket behind the store: where to look before the upstream, and where to put what was fetched."""

import logging

from clients.oci.digest import Digest
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_first import BucketFirst
from dataplane.blobs.measures import Measures
from dataplane.blobs.source import Source
from dataplane.blobs.store import StoredBlob
from dataplane.blobs.uploads import Uploads
from dataplane.blobs.way import Way

logger = logging.getLogger(__name__)


class Tier:
    """What a cache does with a bucket, which outlives it; nothing at all without one."""

    def __init__(self, bucket: Bucket | None, measures: Measures) -> None:
        self._bucket = bucket
        self._measures = measures
        self._uploads = None if bucket is None else Uploads(bucket, measures)

    def way(self, digest: Digest, size: int, source: Source) -> Way:
        """Give the way to a blob: by the bucket, if there is one, before its source."""
        bucket, uploads = self._bucket, self._uploads
        if bucket is None or uploads is None:
            return Way(digest, size, source)
        first = BucketFirst(digest, size, bucket, source, self._measures)

        def distrust() -> bool:
            if not first.distrust():
                return False
            logger.error("blob %s has wrong bytes in %s, and is dropped there", digest, bucket.place)
            uploads.drop(digest)
            return True

        return Way(digest, size, first, distrust)

    def put(self, digest: Digest, stored: StoredBlob | None) -> None:
        """Put a verified blob into the bucket, by and by; takes it over."""
        if stored is None:
            return
        if self._uploads is None:
            stored.close()
        else:
            self._uploads.begin(digest, stored)

    async def settled(self) -> None:
        """Wait until all that was to be put is there, or was given up."""
        if self._uploads is not None:
            await self._uploads.settled()

    async def stop(self) -> None:
        """Break off what is under way."""
        if self._uploads is not None:
            await self._uploads.stop()
