"""Whether this process had no file descriptor left of late: no fault of its disk, nor of an upstream."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from clients.process.descriptors import Shortage


class Descriptors(Shortage, Collector):
    """Counts how often."""

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield CounterMetricFamily(
            "penstock_node_descriptor_shortages",
            "Times that no file descriptor was left to take a connection or open a file.",
            self.times,
        )
