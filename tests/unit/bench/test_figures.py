"""Statistics of runs: medians, ratios run by run, percentiles, numbers for people."""

import pytest

from tests.bench.figures import Spread, percentile, ratio, significant, spread


def test_spread_is_the_median_between_the_extremes() -> None:
    """The order of runs does not matter."""
    assert spread([3.0, 1.0, 10.0]) == Spread(3.0, 1.0, 10.0)


def test_ratio_is_formed_within_each_round() -> None:
    """A disturbance that halves both sides of a round leaves no trace in the ratio."""
    assert ratio([10.0, 5.0, 10.0], [5.0, 2.5, 5.0]) == Spread(2.0, 2.0, 2.0)


def test_ratio_without_a_divisor_is_none() -> None:
    """Zero upstream bytes, or no run at all, give no ratio instead of an infinite one."""
    assert ratio([1.0], [0.0]) is None
    assert ratio([], []) is None


def test_ratio_refuses_runs_that_do_not_pair_up() -> None:
    """A missing run would shift every pair after it."""
    with pytest.raises(ValueError):
        ratio([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.001, 1), (0.0, 1)]
)
def test_percentile_is_a_value_that_was_measured(share: float, expected: float) -> None:
    """The smallest one that so many do not exceed, as in 'p99'."""
    assert percentile(range(1, 101), share) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.012345, "0.0123"),
        (1.0, "1.00"),
        (12.345, "12.3"),
        (82_345.6, "82,346"),
        (0.0589, "0.0589"),
    ],
)
def test_numbers_have_three_digits_and_no_exponent(value: float, text: str) -> None:
    """Large and small figures stand in one table."""
    assert significant(value) == text
