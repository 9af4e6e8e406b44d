"""Durations, as people write them."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.process.duration import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10m", 600),
        ("90s", 90),
        ("1h30m", 5400),
        ("30d", 2_592_000),
        ("250ms", 0.25),
        ("1.5h", 5400),
        (" 0s ", 0),
    ],
)
def test_durations(text, seconds):
    """Numbers with units, one after the other."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10",
        "m",
        "10 m",
        "-10m",
        "10m10m",
        "1e9s",
        "10y",
        "10M",
        "٣m",
        "1m x",
        "1.m",
        "999999999d999999999h",
    ],
)
def test_what_is_none(text):
    """Refused with an example, or because it is too long."""
    with pytest.raises(ValueError, match=r"duration|too long"):
        parse_duration(text)


@given(st.text())
def test_whatever_is_given(text):
    """A duration or a ValueError, never anything else."""
    with contextlib.suppress(ValueError):
        assert parse_duration(text) >= timedelta(0)
