"""What the blob cache counts, and how Prometheus reads it when it asks."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


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

    def collect(self) -> Iterator[Metric]:
        """Give all of it as Prometheus reads it."""
        opens = CounterMetricFamily(
            "penstock_node_blob_opens",
            "Blobs that were opened: from the cache, by a new fetch, or by joining one that was running.",
            labels=("result",),
        )
        opens.add_metric(("hit",), self.hits)
        opens.add_metric(("miss",), self.misses)
        opens.add_metric(("follow",), self.followers)
        yield opens
        for name, documentation, count in (
            ("upstream_bytes", "Bytes of blobs that came from upstreams.", self.upstream_bytes),
            ("fetch_resumes", "Upstream requests that went on where one before broke off.", self.resumes),
            ("fetch_failures", "Fetches that ended without a verified blob.", self.failed_fills),
            (
                "digest_mismatches",
                "Fetched blobs that had another digest.",
                self.digest_mismatches,
            ),
            ("evictions", "Blobs removed to make room.", self.evictions),
            (
                "fetch_takeovers",
                "Fetches that went on with what another process had left.",
                self.takeovers,
            ),
            ("uncached_opens", "Blobs that were passed through, for the disk took none.", self.unspooled),
            ("prefetches", "Blobs that were fetched before anybody asked.", self.prefetches),
            (
                "prefetches_skipped",
                "What was to be fetched ahead and was not, for want of room or patience.",
                self.prefetches_skipped,
            ),
            ("detours", "Upstream transfers for one client alone, past the disk.", self.detours),
            ("scrubbed_bytes", "Bytes of cached blobs that were read again.", self.scrubbed_bytes),
            ("rotten_blobs", "Cached blobs that had changed on disk, and were dropped.", self.rotten),
            (
                "unreadable_blobs",
                "Cached blobs that the disk failed to give, and that are fetched again.",
                self.unreadable,
            ),
            ("bucket_hits", "Transfers that the bucket began.", self.bucket_hits),
            ("bucket_failures", "Requests to the bucket that failed.", self.bucket_failures),
            ("bucket_uploads", "Blobs that were put into the bucket.", self.bucket_uploads),
            ("bucket_waits", "Fetches that waited for those of other nodes.", self.bucket_waits),
            (
                "bucket_waits_ended",
                "Fetches that waited for another node's as long as they may, and went on.",
                self.bucket_waits_ended,
            ),
            ("redirects", "Requests for blobs that were redirected to the bucket.", self.redirects),
            (
                "redirected_bytes",
                "Bytes of blobs that clients were redirected to the bucket for.",
                self.redirected_bytes,
            ),
        ):
            yield CounterMetricFamily(f"penstock_node_{name}", documentation, count)
        for name, documentation, value in (
            ("cache_bytes", "Bytes of blobs in the cache.", self.cache_bytes),
            ("cache_blobs", "Blobs in the cache.", self.cache_blobs),
            ("disk_bytes", "Size of the file system that the cache is on.", self.disk_bytes),
            ("disk_free_bytes", "What is free of it.", self.disk_free_bytes),
            ("fetches_running", "Fetches of blobs that are running.", self.running_fills),
            ("troubled", "Whether the disk does not take blobs, or failed to give one.", self.troubled),
        ):
            yield GaugeMetricFamily(f"penstock_node_{name}", documentation, value)
