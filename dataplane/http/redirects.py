"""Which requests for blobs are answered with where the blob is, in place of the blob."""

import asyncio
import logging
from typing import Final

from clients.oci.digest import Digest
from clients.process.merge import Merge
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketFailed
from dataplane.blobs.measures import Measures
from dataplane.blobs.signer import Signer
from dataplane.http.redirect_rule import RedirectRule

_LOG = logging.getLogger(__name__)

# Seconds for a look into the bucket and for credentials; a client that waits is better served from here.
_PATIENCE: Final = 1.0


class Redirects:
    """Gives URLs of blobs that are in the bucket; `stop` it after the last."""

    def __init__(self, rule: RedirectRule, bucket: Bucket, signer: Signer, measures: Measures) -> None:
        self.concerns = rule.concerns
        """See RedirectRule."""
        self._bucket = bucket
        self._signer = signer
        self._measures = measures
        self._looks: Merge[Digest, None] = Merge()

    async def location(self, digest: Digest, size: int, address: str, length: int) -> str | None:
        """Give a URL that is good for some minutes; None where this node is to send the blob itself.

        `length` is how many bytes of the blob the client wants.
        Whoever calls this has decided that the client may have the blob: the URL needs no token.
        """
        if not self.concerns(size, address):
            return None
        try:
            async with asyncio.timeout(_PATIENCE):
                if not await self._has(digest, size, address):
                    return None
                url = await self._signer.url(self._bucket.key(digest))
        except Exception as error:  # noqa: BLE001 - whatever credentials come from, the blob can be had here
            _LOG.warning("blob %s is sent, not redirected to %s: %r", digest, self._bucket.place, error)
            return None
        if url is not None:
            self._bucket.sightings.sent(digest, address)
            self._measures.redirects += 1
            self._measures.redirected_bytes += length
        return url

    async def stop(self) -> None:
        """Break off what is under way."""
        await self._looks.stop()

    async def _has(self, digest: Digest, size: int, address: str) -> bool:
        if self._bucket.pauses:
            return False
        seen = self._bucket.sightings.has(digest, size, address)
        if seen is None:
            await self._looks.run(digest, lambda: self._look(digest))
            seen = self._bucket.sightings.has(digest, size, address)
        return bool(seen)

    async def _look(self, digest: Digest) -> None:
        try:
            await self._bucket.size(digest)
        except BucketFailed as error:
            self._measures.bucket_failures += 1
            _LOG.warning("it is not known whether %s has blob %s: %s", self._bucket.place, digest, error)
