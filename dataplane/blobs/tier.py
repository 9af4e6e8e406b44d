"""A bucket behind the store: where to look before the upstream, and where to put what was fetched."""

import logging
from functools import partial

from clients.oci.digest import Digest
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_first import BucketFirst
from dataplane.blobs.measures import Measures
from dataplane.blobs.source import Source
from dataplane.blobs.store import StoredBlob
from dataplane.blobs.turns import Turns
from dataplane.blobs.uploads import Uploads
from dataplane.blobs.way import Way

logger = logging.getLogger(__name__)


class Tier:
    """What a cache does with a bucket, which outlives it; nothing at all without one."""

    def __init__(self, bucket: Bucket | None, measures: Measures, turns: Turns | None = None) -> None:
        """Use a bucket; with `turns`, of the nodes that share it one asks an upstream for all."""
        self._bucket = bucket
        self._measures = measures
        self._uploads = None if bucket is None else Uploads(bucket, measures)
        self._turns = turns
        self._uploading: set[Digest] = set()

    def way(self, digest: Digest, size: int, source: Source, owner: str = "") -> Way:
        """Give the way to a blob: by the bucket, if there is one, before its source; see Way."""
        bucket, uploads, turns = self._bucket, self._uploads, self._turns
        if bucket is None or uploads is None:
            return Way(digest, size, source, owner)
        alone = BucketFirst(digest, size, bucket, source, self._measures)
        come = None if turns is None else turns.come
        shared = BucketFirst(digest, size, bucket, source, self._measures, come)

        def distrust() -> bool:
            if not shared.distrust():
                return False
            logger.error("blob %s has wrong bytes in %s, and is dropped there", digest, bucket.place)
            uploads.drop(digest)
            return True

        return Way(digest, size, alone, owner, shared, partial(self._over, digest), distrust)

    def put(self, digest: Digest, stored: StoredBlob | None) -> None:
        """Put a verified blob into the bucket, by and by; takes it over."""
        if stored is None:
            return
        if self._uploads is None:
            stored.close()
        else:
            # Other nodes wait until it is there.
            self._uploading.add(digest)
            self._uploads.begin(digest, stored, partial(self._uploaded, digest))

    async def settled(self) -> None:
        """Wait until all that was to be put is there, or was given up."""
        if self._uploads is not None:
            await self._uploads.settled()

    async def stop(self) -> None:
        """Break off what is under way."""
        if self._uploads is not None:
            await self._uploads.stop()
        if self._turns is not None:
            await self._turns.stop()

    def _uploaded(self, digest: Digest) -> None:
        self._uploading.discard(digest)
        self._over(digest)

    def _over(self, digest: Digest) -> None:
        if self._turns is not None and digest not in self._uploading:
            self._turns.over(digest)
