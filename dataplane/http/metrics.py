"""What a node counts, as Prometheus reads it. Names and labels are part of the public contract."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dataplane.blobs.measures import Measures
from dataplane.config.state import ConfigState
from dataplane.resolve.lookups import Lookups

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """The metrics of one node; `active` gives how many requests are being answered."""

    def __init__(
        self,
        state: ConfigState,
        lookups: Lookups,
        measures: Measures,
        active: Callable[[], int],
        version: str,
    ) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "penstock_node_requests",
            "Registry requests that were answered.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._sent = Counter(
            "penstock_node_sent_bytes", "Body bytes sent to registry clients.", registry=self._registry
        )
        in_flight = Gauge(
            "penstock_node_requests_in_flight",
            "Registry requests that are being answered.",
            registry=self._registry,
        )
        in_flight.set_function(active)
        build = Gauge(
            "penstock_node_build_info",
            "Always 1; its label says what runs.",
            ("version",),
            registry=self._registry,
        )
        build.labels(version).set(1)
        self._registry.register(_Looks(state, lookups, measures))
        ProcessCollector(registry=self._registry)

    def count(self, route: str, method: str, status: int) -> None:
        """Count an answered request; methods nobody has heard of count as one."""
        self._requests.labels(route, method if method in _METHODS else "other", str(status)).inc()

    def sent(self, size: int) -> None:
        """Count body bytes that were sent."""
        self._sent.inc(size)

    def exposition(self) -> bytes:
        """Render all of it in Prometheus' text format."""
        return generate_latest(self._registry)


class _Looks(Collector):
    """What others count for themselves, looked at when it is asked for."""

    def __init__(self, state: ConfigState, lookups: Lookups, measures: Measures) -> None:
        self._state = state
        self._lookups = lookups
        self._measures = measures

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "penstock_node_config_revision",
            "Revision of the configuration in force; 0 before the first.",
            self._state.revision,
        )
        if self._state.age is not None:
            yield GaugeMetricFamily(
                "penstock_node_config_age_seconds",
                "Seconds since the control plane confirmed the configuration in force.",
                self._state.age,
            )
        yield GaugeMetricFamily(
            "penstock_node_config_following",
            "Whether the control plane's configuration is being followed.",
            0 if self._state.interruption else 1,
        )
        yield GaugeMetricFamily(
            "penstock_node_config_refused",
            "Whether the newest configuration was refused by this node.",
            1 if self._state.refusal else 0,
        )
        lookups = CounterMetricFamily(
            "penstock_node_manifest_lookups",
            "Manifests that were found, by where; stale: in place of the control plane, which was away.",
            labels=("source",),
        )
        for source in ("memory", "disk", "control_plane", "stale"):
            lookups.add_metric((source,), getattr(self._lookups, source))
        yield lookups
        yield from self._blobs()

    def _blobs(self) -> Iterator[Metric]:
        measures = self._measures
        opens = CounterMetricFamily(
            "penstock_node_blob_opens",
            "Blobs that were opened: from the cache, by a new fetch, or by joining one that was running.",
            labels=("result",),
        )
        opens.add_metric(("hit",), measures.hits)
        opens.add_metric(("miss",), measures.misses)
        opens.add_metric(("follow",), measures.followers)
        yield opens
        for name, documentation, count in (
            ("upstream_bytes", "Bytes of blobs that came from upstreams.", measures.upstream_bytes),
            ("fetch_resumes", "Upstream requests that went on where one before broke off.", measures.resumes),
            ("fetch_failures", "Fetches that ended without a verified blob.", measures.failed_fills),
            (
                "digest_mismatches",
                "Fetched blobs that had another digest.",
                measures.digest_mismatches,
            ),
            ("evictions", "Blobs removed to stay under the byte limit.", measures.evictions),
        ):
            yield CounterMetricFamily(f"penstock_node_{name}", documentation, count)
        for name, documentation, value in (
            ("cache_bytes", "Bytes of blobs in the cache.", measures.cache_bytes),
            ("cache_blobs", "Blobs in the cache.", measures.cache_blobs),
            ("fetches_running", "Fetches of blobs that are running.", measures.running_fills),
        ):
            yield GaugeMetricFamily(f"penstock_node_{name}", documentation, value)
