"""The metric of the certificate that both ports show."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from clients.process.leaf import Leaf
from clients.process.replaced import Replaced
from clients.process.tls import Identity


class CertificateMeasures(Collector):
    """Read when it is asked for; without a certificate there is a metric, and no series."""

    def __init__(self, file: Path | None, tls: Replaced[Identity] | None) -> None:
        self._file = file
        self._tls = tls

    def collect(self) -> Iterator[Metric]:
        """Give when the certificate ends that is shown now, which need not be the one in its file."""
        until = GaugeMetricFamily(
            "penstock_certificate_expiry_timestamp_seconds",
            "When the certificate ends that is shown, in seconds since 1970.",
            labels=("file",),
        )
        if self._tls is not None:
            leaf = Leaf.parse(self._tls.current().chain)
            until.add_metric((str(self._file),), leaf.until.timestamp())
        yield until
