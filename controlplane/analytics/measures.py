"""Metrics of pulls."""

from collections.abc import Collection
from typing import Final

from prometheus_client import CollectorRegistry, Counter

from controlplane.analytics.event import Event
from penstock.v1.pull_pb2 import PullEvent

OTHER: Final = "other"
"""Stands for all that there is no room for."""
LABELS: Final = ("customer", "tag")
"""What pulls may be told apart by, beside organization and artifact."""


def split_labels(text: str) -> list[str]:
    """Read labels with commas between."""
    return [label.strip() for label in text.split(",") if label.strip()]


class PullMeasures:
    """Counts the events that this process stored.

    `labels` are those of LABELS that pulls are told apart by; there are at most `most` series, and what comes
    after them counts under `other`.
    """

    def __init__(self, registry: CollectorRegistry, labels: Collection[str], most: int) -> None:
        self._labels = tuple(label for label in LABELS if label in labels)
        self._most = most
        names = ("organization", "artifact", *self._labels)
        self._pulls = Counter(
            "penstock_pulls", "Pulls that nodes reported, each once.", names, registry=registry
        )
        self._checks = Counter(
            "penstock_pull_checks",
            "Looks of clients whether something is still the same, that nodes reported.",
            ("organization", "artifact"),
            registry=registry,
        )
        self._cold = Counter(
            "penstock_pulls_cold",
            "Of the pulls, those for which a blob was fetched.",
            ("organization", "artifact"),
            registry=registry,
        )
        self._bytes = Counter(
            "penstock_pulls_sent_bytes",
            "Bytes of bodies that were sent for pulls and checks.",
            ("organization", "artifact"),
            registry=registry,
        )
        self._redirected = Counter(
            "penstock_pulls_redirected_bytes",
            "Bytes that clients were sent elsewhere for, by signed URLs, in pulls and checks.",
            ("organization", "artifact"),
            registry=registry,
        )
        self._events = Counter(
            "penstock_pull_events",
            "Events that nodes reported, by what became of them.",
            ("result",),
            registry=registry,
        )
        self._seen: dict[int, set[tuple[str, ...]]] = {}

    def stored(self, organization: str, artifact: str, customer: str, event: Event) -> None:
        """Count an event that is new."""
        self._events.labels("stored").inc()
        pair = self._bounded((organization, artifact))
        self._bytes.labels(*pair).inc(event.bytes_sent)
        self._redirected.labels(*pair).inc(event.bytes_redirected)
        if event.kind != PullEvent.PULL:
            self._checks.labels(*pair).inc()
            return
        values = {"customer": customer, "tag": event.tag}
        series = (organization, artifact, *(values[label] for label in self._labels))
        self._pulls.labels(*self._bounded(series)).inc()
        if event.cold_blobs:
            self._cold.labels(*pair).inc()

    def repeated(self, count: int) -> None:
        """Count events that were stored before."""
        self._events.labels("repeated").inc(count)

    def refused(self, count: int) -> None:
        """Count events that cannot be stored."""
        self._events.labels("refused").inc(count)

    def _bounded(self, series: tuple[str, ...]) -> tuple[str, ...]:
        seen = self._seen.setdefault(len(series), set())
        if series in seen:
            return series
        if len(seen) < self._most:
            seen.add(series)
            return series
        # What an organization and artifact come to stays right as long as there is room for these.
        if len(series) > 2:
            return (*self._bounded(series[:2]), *(OTHER for _ in series[2:]))
        return tuple(OTHER for _ in series)
