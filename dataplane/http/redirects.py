"""Which requests for blobs are answered with where the blob is, in place of the blob."""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final, Self

from clients.oci.digest import Digest
from clients.process.exits import ConfigurationError
from clients.process.merge import Merge
from clients.process.networks import Network, parse_address, parse_networks
from clients.process.size import parse_size
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketFailed
from dataplane.blobs.measures import Measures
from dataplane.blobs.signer import Signer

_LOG = logging.getLogger(__name__)

# Seconds for a look into the bucket and for credentials; a client that waits is better served from here.
_PATIENCE: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """Who is redirected, and for what."""

    above: int | None = None
    """Bytes; blobs that have more are redirected. None for no blob."""
    kept: tuple[Network, ...] = ()
    """Clients in these networks are not."""

    @classmethod
    def parse(cls, redirect: str, except_networks: str) -> Self:
        """Read PENSTOCK_S3_REDIRECT and PENSTOCK_S3_REDIRECT_EXCEPT; raises ConfigurationError."""
        try:
            above = {"never": None, "always": 0}[redirect] if redirect.isalpha() else parse_size(redirect)
        except (KeyError, ValueError):
            raise ConfigurationError(
                f"PENSTOCK_S3_REDIRECT is {redirect!r}: give never, always, or a size like 16MiB, above"
                " which blobs are redirected."
            ) from None
        return cls(above, parse_networks(except_networks, "PENSTOCK_S3_REDIRECT_EXCEPT"))

    def concerns(self, size: int, address: str) -> bool:
        """Tell whether a client at this IP address is redirected for a blob of so many bytes."""
        if self.above is None or size <= self.above:
            return False
        if not self.kept:
            return True
        client = parse_address(address)
        return client is not None and not any(client in network for network in self.kept)


class Redirects:
    """Gives URLs of blobs that are in the bucket; `stop` it after the last."""

    def __init__(self, rule: Rule, bucket: Bucket, signer: Signer, measures: Measures) -> None:
        self.concerns = rule.concerns
        """See Rule."""
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
