"""What a node counts, as Prometheus reads it. Names and labels are part of the public contract."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Protocol

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from dataplane.access.sign_in import Failures
from dataplane.blobs.measures import Measures
from dataplane.config.state import ConfigState
from dataplane.http.limits import Hits
from dataplane.http.message import METHODS
from dataplane.http.timings import Timings
from dataplane.resolve.lookups import Lookups


class Load(Protocol):
    """How busy the registry's server is."""

    @property
    def active(self) -> int:
        """Requests that are being answered."""
        ...

    @property
    def connections(self) -> int:
        """Connections that are open."""
        ...

    @property
    def quick_answers(self) -> int:
        """Requests that were answered in front of the parser."""
        ...

    @property
    def timings(self) -> Timings:
        """How long the others took."""
        ...


class Metrics:
    """The metrics of one node; `active` gives how many requests are being answered."""

    def __init__(
        self,
        state: ConfigState,
        lookups: Lookups,
        measures: Measures,
        hits: Hits,
        failures: Failures,
        load: Load,
        version: str,
    ) -> None:
        self._registry = CollectorRegistry()
        # Plain numbers, of which Prometheus' counters are made when they are asked for: one that takes a
        # lock costs as much as the rest of a quick answer.
        self._answered: dict[tuple[str, str, int], int] = {}
        self._sent = 0
        build = Gauge(
            "penstock_node_build_info",
            "Always 1; its label says what runs.",
            ("version",),
            registry=self._registry,
        )
        build.labels(version).set(1)
        self._registry.register(_Traffic(self))
        self._registry.register(_Looks(state, lookups, measures, hits, failures, load))
        ProcessCollector(registry=self._registry)

    def count(self, route: str, method: str, status: int) -> None:
        """Count an answered request; methods nobody has heard of count as one."""
        key = (route, method if method in METHODS else "other", status)
        self._answered[key] = self._answered.get(key, 0) + 1

    def sent(self, size: int) -> None:
        """Count body bytes that were sent."""
        self._sent += size

    def traffic(self) -> Iterator[Metric]:
        """Give what was counted."""
        requests = CounterMetricFamily(
            "penstock_node_requests",
            "Registry requests that were answered.",
            labels=("route", "method", "status"),
        )
        for key, count in self._answered.items():
            requests.add_metric(tuple(map(str, key)), count)
        yield requests
        yield CounterMetricFamily(
            "penstock_node_sent_bytes", "Body bytes sent to registry clients.", self._sent
        )

    def add(self, collector: Collector) -> None:
        """Take in what somebody else counts."""
        self._registry.register(collector)

    def collect(self) -> list[Metric]:
        """Give all of it as values."""
        return list(self._registry.collect())

    def exposition(self) -> bytes:
        """Render all of it in Prometheus' text format."""
        return generate_latest(self._registry)


class _Traffic(Collector):
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.traffic()


class _Looks(Collector):
    """What others count for themselves, looked at when it is asked for."""

    def __init__(
        self,
        state: ConfigState,
        lookups: Lookups,
        measures: Measures,
        hits: Hits,
        failures: Failures,
        load: Load,
    ) -> None:
        self._state = state
        self._lookups = lookups
        self._measures = measures
        self._hits = hits
        self._failures = failures
        self._load = load

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
        configuration = self._state.configuration
        yield GaugeMetricFamily(
            "penstock_node_config_passed_over",
            "Entries of the configuration that this version of the node does not understand.",
            0 if configuration is None else len(configuration.passed_over),
        )
        lookups = CounterMetricFamily(
            "penstock_node_manifest_lookups",
            "Manifests that were found, by where; stale: in place of the control plane, which was away.",
            labels=("source",),
        )
        for source in ("memory", "disk", "control_plane", "stale"):
            lookups.add_metric((source,), getattr(self._lookups, source))
        yield lookups
        yield from self._server()
        yield from self._measures.collect()

    def _server(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "penstock_node_requests_in_flight",
            "Registry requests that are being answered.",
            self._load.active,
        )
        yield GaugeMetricFamily(
            "penstock_node_connections", "Connections of registry clients.", self._load.connections
        )
        yield CounterMetricFamily(
            "penstock_node_fast_answers",
            "Registry requests that were answered in front of the parser.",
            self._load.quick_answers,
        )
        yield from _durations(self._load.timings)
        hits = CounterMetricFamily(
            "penstock_node_limit_hits",
            "How often a limit of the registry port was reached, by which.",
            labels=("limit",),
        )
        for limit in fields(self._hits):
            hits.add_metric((limit.name,), getattr(self._hits, limit.name))
        yield hits
        failures = CounterMetricFamily(
            "penstock_node_sign_in_failures",
            "Sign-ins that were refused, by what was wrong with the token.",
            labels=("reason",),
        )
        for reason in ("malformed", "unknown", "expired", "revoked"):
            failures.add_metric((reason,), getattr(self._failures, reason))
        yield failures
        yield CounterMetricFamily(
            "penstock_node_sign_ins_slowed",
            "Refused sign-ins that were told to wait.",
            self._failures.slowed,
        )


def _durations(timings: Timings) -> Iterator[Metric]:
    for name, documentation, histograms in (
        (
            "first_byte_seconds",
            "From a complete request to the head of its answer, without fast answers.",
            timings.first_bytes,
        ),
        (
            "request_duration_seconds",
            "From a complete request to the end of its answer, without fast answers.",
            timings.wholes,
        ),
    ):
        family = HistogramMetricFamily(f"penstock_node_{name}", documentation, labels=("route",))
        for route, histogram in histograms.items():
            family.add_metric((route,), histogram.cumulative(), histogram.total)
        yield family
