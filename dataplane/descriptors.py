"""Whether this process had no file descriptor left of late: no fault of its disk, nor of an upstream."""

import logging
import resource
import time
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

_LOG = logging.getLogger(__name__)

# Seconds that it is told of after the last time: it comes and goes with the clients.
_TOLD: Final = 60.0


class Descriptors(Collector):
    """Notes when they run out; `clock` gives seconds that never jump."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._shortages = 0

    @property
    def trouble(self) -> str:
        """What is wrong, in a sentence for operators; empty where nothing was for a minute."""
        if self._clock() >= self._until:
            return ""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"No file descriptor was left to take a connection or open a file (a process may have {limit}):"
            " raise that limit (LimitNOFILE=, ulimit -n), or the machine's (fs.file-max)."
        )

    def note(self) -> None:
        """Note that there was none."""
        begins = not self.trouble
        self._shortages += 1
        self._until = self._clock() + _TOLD
        if begins:
            _LOG.error("%s", self.trouble)

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        yield CounterMetricFamily(
            "penstock_node_descriptor_shortages",
            "Times that no file descriptor was left to take a connection or open a file.",
            self._shortages,
        )
