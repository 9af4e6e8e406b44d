"""What the store holds and how recently it was used: what decides who goes when space is short."""

from collections import OrderedDict
from collections.abc import Iterator

from clients.oci.digest import Digest
from dataplane.blobs.measures import Measures


class Ledger:
    """Sizes of the stored blobs, least recently used first; keeps the two gauges of the cache."""

    def __init__(self, measures: Measures) -> None:
        self._sizes: OrderedDict[Digest, int] = OrderedDict()
        self._measures = measures

    def used(self, digest: Digest, size: int) -> None:
        """Note that a blob of that many bytes is there, and was used just now."""
        self.gone(digest)
        self._sizes[digest] = size
        self._measures.cache_blobs += 1
        self._measures.cache_bytes += size

    def gone(self, digest: Digest) -> None:
        """Note that a blob is not there (any more)."""
        size = self._sizes.pop(digest, None)
        if size is not None:
            self._measures.cache_blobs -= 1
            self._measures.cache_bytes -= size

    def excess(self, limit: int) -> Iterator[Digest]:
        """Give blobs to remove, each `gone` already, until no more than limit bytes are left."""
        while self._sizes and self._measures.cache_bytes > limit:
            digest = next(iter(self._sizes))
            self.gone(digest)
            yield digest
