"""Metrics of what upstreams say of their rate limits."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from clients.oci.rate import Rates


class RateMeasures(Collector):
    """Read when they are asked for."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        limits = GaugeMetricFamily(
            "penstock_upstream_rate_limit",
            "Requests that an upstream allows in its window, of the account there that has the least left.",
            labels=("upstream",),
        )
        remaining = GaugeMetricFamily(
            "penstock_upstream_rate_remaining",
            "Requests that are left of them, as the upstream said last.",
            labels=("upstream",),
        )
        for host, quota in self._rates.quotas.items():
            limits.add_metric((host,), quota.limit)
            remaining.add_metric((host,), quota.remaining)
        pauses = GaugeMetricFamily(
            "penstock_upstream_pause_seconds",
            "For how long an upstream is left alone that refused with 429; 0 after that.",
            labels=("upstream",),
        )
        for host, pause in self._rates.pauses.items():
            pauses.add_metric((host,), pause)
        yield from (limits, remaining, pauses)
