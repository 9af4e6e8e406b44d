"""What the blob cache counts; whoever exports metrics reads these when it is asked."""

from dataclasses import dataclass


@dataclass(slots=True)
class Measures:
    """Counters since the start of the process, and gauges (marked so); changed on the event loop only.

    Gauges of the node are the same in all its processes, and not to be summed.
    """

    hits: int = 0
    """Opens that were served from the store."""
    misses: int = 0
    """Opens that started a fill."""
    followers: int = 0
    """Opens that joined a fill that was running, in this process or another."""
    takeovers: int = 0
    """Fills that went on with what another process had left."""
    unspooled: int = 0
    """Opens that found the disk unable to take the blob, which was passed through."""
    detours: int = 0
    """Transfers for one reader alone: parts far ahead of a fill, and blobs that the disk cannot take."""
    prefetches: int = 0
    """Blobs that were fetched before anybody asked for them."""
    prefetches_skipped: int = 0
    """Blobs and manifests that were not fetched ahead: there was no room, or too many waited."""
    resumes: int = 0
    """Upstream requests after the first one of a transfer."""
    failed_fills: int = 0
    """Fills that ended without a verified blob, for whatever reason."""
    digest_mismatches: int = 0
    """Transfers whose bytes were not what the digest names."""
    upstream_bytes: int = 0
    """Bytes of blobs that arrived from upstreams, repeated ones included."""
    evictions: int = 0
    """Blobs removed to make room."""
    scrubbed_bytes: int = 0
    """Bytes of stored blobs that were read again to verify them."""
    rotten: int = 0
    """Stored blobs that were found to have another digest or to have lost their end, and were dropped."""
    unreadable: int = 0
    """Stored blobs that the disk failed to give, and that stay until they are fetched again."""
    bucket_hits: int = 0
    """Transfers that the bucket began."""
    bucket_failures: int = 0
    """Requests to the bucket that failed, so that the upstream was asked, or the upload was given up."""
    bucket_uploads: int = 0
    """Blobs that were put into the bucket."""
    bucket_waits: int = 0
    """Fetches that waited for another node to put the blob into the bucket."""
    bucket_waits_ended: int = 0
    """Of these, fetches that went on without it."""
    redirects: int = 0
    """Requests that were answered with where the blob is in the bucket."""
    redirected_bytes: int = 0
    """Bytes of blobs that these asked for; what clients then got is not known."""
    cache_bytes: int = 0
    """Gauge of the node: bytes of the blobs in the store."""
    cache_blobs: int = 0
    """Gauge of the node: blobs in the store."""
    disk_bytes: int = 0
    """Gauge of the node: size of the file system that the store is on; 0 before it was looked at."""
    disk_free_bytes: int = 0
    """Gauge of the node: what is free of it."""
    running_fills: int = 0
    """Gauge: fills that have not ended yet, those of other processes that are followed included."""
    troubled: int = 0
    """Gauge: 1 while the disk does not take blobs, or failed to give one of late."""
