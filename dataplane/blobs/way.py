"""One blob, and where it can be had."""

from collections.abc import Callable
from dataclasses import dataclass

from clients.oci.digest import Digest
from dataplane.blobs.source import Source


@dataclass(frozen=True, slots=True)
class Way:
    """A blob's digest, the size that a manifest says, and its source."""

    digest: Digest
    size: int
    source: Source
    distrust: Callable[[], bool] = lambda: False
    """Tells the source that its bytes were wrong; returns whether it has others."""
