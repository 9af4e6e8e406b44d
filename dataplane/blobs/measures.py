"""What the blob cache counts; whoever exports metrics reads these when it is asked."""

from dataclasses import dataclass


@dataclass(slots=True)
class Measures:
    """Counters since the start of the process, and gauges (marked so); changed on the event loop only."""

    hits: int = 0
    """Opens that were served from the store."""
    misses: int = 0
    """Opens that started a fill."""
    followers: int = 0
    """Opens that joined a fill that was running."""
    resumes: int = 0
    """Upstream requests after the first one of a fill."""
    failed_fills: int = 0
    """Fills that ended without a verified blob, for whatever reason."""
    digest_mismatches: int = 0
    """Fills whose bytes were not what the digest names."""
    upstream_bytes: int = 0
    """Bytes of blobs that arrived from upstreams, repeated ones included."""
    evictions: int = 0
    """Blobs removed to stay under the byte limit."""
    cache_bytes: int = 0
    """Gauge: bytes of the blobs in the store."""
    cache_blobs: int = 0
    """Gauge: blobs in the store."""
    running_fills: int = 0
    """Gauge: fills that have not ended yet."""
