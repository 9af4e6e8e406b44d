"""A bucket behind the store: where to look before the upstream, and where to put what was fetched."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from clients.oci.digest import Digest
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_first import BucketFirst
from dataplane.blobs.measures import Measures
from dataplane.blobs.source import Source
from dataplane.blobs.store import StoredBlob
from dataplane.blobs.turns import Came, Fetch, Turns
from dataplane.blobs.uploads import Upload, Uploads, Verified
from dataplane.blobs.way import Key, Way

logger = logging.getLogger(__name__)


class Tier:
    """What a cache does with a bucket, which outlives it; nothing at all without one."""

    def __init__(
        self,
        bucket: Bucket | None,
        folder: Path,
        measures: Measures,
        turns: Turns | None = None,
        fetch: Callable[[Key], Fetch | None] = lambda _: None,
    ) -> None:
        """Use a bucket; with `turns`, of the nodes that share it one asks an upstream for all.

        What the bucket is still to get is noted in folder. `fetch` gives what is running for a key.
        """
        self._bucket = bucket
        self._measures = measures
        self._uploads = None if bucket is None else Uploads(bucket, folder, measures)
        self._turns = turns
        self._fetch = fetch
        self._uploading: dict[Key, Upload] = {}

    def way(self, digest: Digest, size: int, source: Source, owner: str = "") -> Way:
        """Give the way to a blob: by the bucket, if there is one, before its source; see Way."""
        bucket, uploads, turns = self._bucket, self._uploads, self._turns
        way = Way(digest, size, source, owner)
        if bucket is None or uploads is None:
            return way
        alone = BucketFirst(digest, size, bucket, source, self._measures)
        come = None if turns is None else partial(self._come, turns, way.key)
        shared = BucketFirst(digest, size, bucket, source, self._measures, come)

        def distrust(source: Source) -> bool:
            if source not in (alone, shared) or not source.distrust():
                return False
            logger.error("blob %s has wrong bytes in %s, and is dropped there", digest, bucket.place)
            uploads.drop(digest)
            return True

        return replace(way, source=alone, shared=shared, over=partial(self._over, way.key), distrust=distrust)

    def put(self, key: Key, stored: StoredBlob | None) -> None:
        """Put a verified blob into the bucket, by and by; takes it over."""
        if stored is None:
            return
        if self._uploads is None:
            stored.close()
        else:
            upload = self._uploads.begin(key[0], stored, partial(self._uploaded, key))
            if upload is not None:
                # Other nodes wait until it is there.
                self._uploading[key] = upload

    async def make_good(self, verified: Verified) -> None:
        """Put what an earlier process or a failing bucket left into it, until cancelled."""
        if self._uploads is not None:
            await self._uploads.make_good(verified)

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

    async def _come(self, turns: Turns, key: Key, came: Came, there: Callable[[], None]) -> bool:
        def moved() -> int | None:
            upload, fetched = self._uploading.get(key), came()
            return key[1] + upload.moved if fetched is None and upload is not None else fetched

        return await turns.come(key, moved, self._fetch(key), there)

    def _uploaded(self, key: Key) -> None:
        self._uploading.pop(key, None)
        self._over(key)

    def _over(self, key: Key) -> None:
        if self._turns is not None and key not in self._uploading:
            self._turns.over(key)
