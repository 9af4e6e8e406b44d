"""Statistics of repeated runs: medians, spreads, percentiles and ratios of runs that were interleaved."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some runs, between the lowest and the highest of them."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Sums up the values of at least one run."""
    return Spread(statistics.median(values), min(values), max(values))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread | None:
    """Sums up ours divided by theirs, run by run, so that what slows both in one round cancels out.

    None when a divisor is zero. Raises ValueError when the runs do not pair up.
    """
    pairs = list(zip(ours, theirs, strict=True))
    if not pairs or any(their == 0 for _, their in pairs):
        return None
    return spread([our / their for our, their in pairs])


def percentile(ordered: Sequence[float], share: float) -> float:
    """Gives the smallest of ascending values that at least `share` (0 to 1) of them do not exceed."""
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]


def significant(value: float, digits: int = 3) -> str:
    """Writes a number for people: so many significant digits, thousands apart, no exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{places}f}"
