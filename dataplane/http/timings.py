"""How long the registry's answers take; whoever exports metrics reads it when it is asked."""

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Seconds; what takes longer than the last of them is in a bucket of its own."""


@dataclass(slots=True)
class Histogram:
    """Counts durations, in seconds, by the first of BOUNDS that they do not exceed."""

    total: float = 0.0
    """All of them together."""
    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def note(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Give, for each bound and at last for `+Inf`, how many did not exceed it."""
        count, buckets = 0, []
        for bound, more in zip((*map(float, BOUNDS), float("inf")), self.counts, strict=True):
            count += more
            buckets.append(("+Inf" if bound == float("inf") else str(bound), float(count)))
        return buckets


class Timings:
    """Durations of answers that went through the parser, by route; those in front of it take none."""

    def __init__(self) -> None:
        self.first_bytes: dict[str, Histogram] = {}
        """From a request that is complete to the head of its answer."""
        self.wholes: dict[str, Histogram] = {}
        """From there to the end of the answer, or to where it broke off."""

    def began(self, route: str, seconds: float) -> None:
        """Note when the head of an answer was sent."""
        _of(self.first_bytes, route).note(seconds)

    def ended(self, route: str, seconds: float) -> None:
        """Note when an answer was at its end."""
        _of(self.wholes, route).note(seconds)


def _of(histograms: dict[str, Histogram], route: str) -> Histogram:
    # A handful of routes, all named in the code.
    found = histograms.get(route)
    if found is None:
        found = histograms[route] = Histogram()
    return found
