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
    shared: Source | None = None
    """The source of what all readers share, where it takes turns with other nodes; a detour does not."""
    over: Callable[[], None] = lambda: None
    """To be called when the shared fetch has ended, however it did."""
    distrust: Callable[[], bool] = lambda: False
    """Tells the source that its bytes were wrong; returns whether it has others."""
