"""How long answers take, counted."""

import pytest

from dataplane.http.timings import BOUNDS, Histogram, Timings


@pytest.mark.parametrize(("seconds", "bound"), [(0, "0.001"), (0.1, "0.1"), (0.11, "0.25"), (301, "+Inf")])
def test_a_duration_counts_from_its_bound_on(seconds: float, bound: str) -> None:
    """Prometheus' buckets hold all that is at most their bound."""
    histogram = Histogram()
    histogram.note(seconds)
    buckets = histogram.cumulative()
    assert next(name for name, count in buckets if count) == bound
    assert [name for name, _ in buckets] == [*(str(float(bound)) for bound in BOUNDS), "+Inf"]
    assert buckets[-1][1] == 1
    assert histogram.total == seconds


def test_routes_are_apart() -> None:
    """A blob that takes minutes says nothing of manifests."""
    timings = Timings()
    timings.began("manifest", 0.01)
    timings.ended("manifest", 0.02)
    timings.ended("blob", 100.0)
    assert {route: found.total for route, found in timings.wholes.items()} == {
        "manifest": 0.02,
        "blob": 100.0,
    }
    assert list(timings.first_bytes) == ["manifest"]
