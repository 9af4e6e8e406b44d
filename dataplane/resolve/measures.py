"""What is counted of a node's requests to upstreams."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from clients.oci.outcomes import Outcomes


class UpstreamMeasures(Collector):
    """Exports Outcomes."""

    def __init__(self, outcomes: Outcomes) -> None:
        self._outcomes = outcomes

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        requests = CounterMetricFamily(
            "penstock_node_upstream_requests",
            "Requests to upstreams, by the status of the answer; failed: there was none.",
            labels=("upstream", "status"),
        )
        for key, count in self._outcomes.counts.items():
            requests.add_metric(key, count)
        yield requests
