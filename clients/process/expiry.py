"""When certificates end that a process shows, as a metric."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class CertificateExpiry(Collector):
    """Reads, when it is asked, the certificates that each file's user shows now, in PEM.

    These need not be those in the file. Without a certificate there is a metric, and no series.
    """

    def __init__(self, name: str, shown: Mapping[Path, Callable[[], bytes | None]]) -> None:
        self._name = name
        self._shown = dict(shown)

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        until = GaugeMetricFamily(
            self._name, "When the certificate ends that is shown, in seconds since 1970.", labels=("file",)
        )
        for file, show in self._shown.items():
            if chain := show():
                # Takes eight megabytes, which processes without a certificate do without.
                from clients.process.leaf import Leaf  # noqa: PLC0415

                until.add_metric((str(file),), Leaf.parse(chain).until.timestamp())
        yield until
