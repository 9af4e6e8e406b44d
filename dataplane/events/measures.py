"""What is counted of pulls, by organization and artifact: as many of them as there is room for."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dataplane.config.configuration import Configuration
from dataplane.events.event import Event

OTHER: Final = "other"
"""Stands for all that there was no room for."""

LABELS: Final = ("organization", "artifact", "customer", "tag")

_Key = tuple[str, ...]


def fates(stored: int = 0, lost: int = 0, refused: int = 0) -> Metric:
    """Give the counter of what became of events, or of records of requests that never came to be one."""
    family = CounterMetricFamily(
        "penstock_node_events",
        "Pulls and checks by what became of them: stored by the control plane, refused by it, or lost.",
        labels=("fate",),
    )
    for fate, count in (("stored", stored), ("lost", lost), ("refused", refused)):
        family.add_metric((fate,), count)
    return family


class PullMeasures(Collector):
    """Counters of the process that folds, and what waits in its journal.

    `more` names labels beside organization and artifact; above `most` combinations, further ones count as
    OTHER. `waiting` gives the number of events that wait to be sent, and their bytes; `fates` those that
    were stored, lost, and refused.
    """

    def __init__(
        self,
        configuration: Callable[[], Configuration | None],
        more: Iterable[str] = (),
        most: int = 2000,
    ) -> None:
        self._configuration = configuration
        self._labels = ("organization", "artifact", *(label for label in LABELS[2:] if label in more))
        self._most = most
        self._pulls: Counter[_Key] = Counter()
        self._checks: Counter[_Key] = Counter()
        self._broken: Counter[_Key] = Counter()
        self._bytes: Counter[_Key] = Counter()
        self._known: set[_Key] = set()
        self.waiting: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.fates: Callable[[], tuple[int, int, int]] = lambda: (0, 0, 0)

    def see(self, events: Iterable[Event]) -> None:
        """Count events."""
        for event in events:
            key = self._key(event)
            if event.is_pull:
                self._pulls[key] += 1
                self._bytes[key] += event.bytes_sent
                self._broken[key] += not event.completed
            else:
                self._checks[key] += 1

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        for name, documentation, counts in (
            ("pulls", "Pulls that clients made, whatever requests each took.", self._pulls),
            ("checks", "Times that clients looked, and took nothing.", self._checks),
            ("broken_pulls", "Pulls of which a blob was not sent to its end.", self._broken),
            ("pull_bytes", "Body bytes that were sent for pulls.", self._bytes),
        ):
            family = CounterMetricFamily(f"penstock_node_{name}", documentation, labels=self._labels)
            for key, count in counts.items():
                family.add_metric(key, count)
            yield family
        events, size = self.waiting()
        yield GaugeMetricFamily(
            "penstock_node_events_waiting",
            "Pulls and checks that the control plane has not stored yet.",
            events,
        )
        yield GaugeMetricFamily("penstock_node_events_waiting_bytes", "Bytes of disk that these take.", size)
        yield fates(*self.fates())

    def _key(self, event: Event) -> _Key:
        configuration = self._configuration()
        artifact = None if configuration is None else configuration.artifacts.get(event.artifact_uid)
        customer = None if configuration is None else configuration.customers.get(event.customer_uid)
        organization, _, name = ("", "", "") if artifact is None else artifact.repository.partition("/")
        values = {
            "organization": organization or OTHER,
            "artifact": name or OTHER,
            "customer": "" if customer is None else customer.customer_id,
            "tag": event.tag,
        }
        key = tuple(values[label] for label in self._labels)
        if key not in self._known:
            if len(self._known) >= self._most:
                return (OTHER,) * len(self._labels)
            self._known.add(key)
        return key
