"""What upstreams say of their rate limits."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from multidict import CIMultiDict

from clients.oci.rate import Rates


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    """A clock that the test moves."""
    return _Clock()


@pytest.fixture
def rates(clock: _Clock) -> Rates:
    """What is tested."""
    return Rates(clock)


@pytest.mark.parametrize(
    ("limit", "remaining", "said"),
    [
        ("100;w=21600", "76;w=21600", (100, 76)),
        ("100", "76", (100, 76)),
        ("100, 100;w=60, 1000;w=3600", "20", (100, 20)),
        (" 200 ;w=21600", "0;w=21600", (200, 0)),
    ],
)
def test_quotas_in_the_forms_there_are(
    rates: Rates, limit: str, remaining: str, said: tuple[int, int]
) -> None:
    """Docker Hub's, and those of the drafts."""
    rates.note("docker.io", 200, CIMultiDict({"ratelimit-limit": limit, "RateLimit-Remaining": remaining}))
    quota = rates.quota("docker.io")
    assert quota is not None
    assert (quota.limit, quota.remaining) == said
    assert quota.share == said[1] / said[0]
    assert rates.quota("ghcr.io") is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"RateLimit-Limit": "100"},
        {"RateLimit-Remaining": "5"},
        {"RateLimit-Limit": "many", "RateLimit-Remaining": "5"},
        {"RateLimit-Limit": "-1", "RateLimit-Remaining": "5"},
        {"RateLimit-Limit": "9" * 500, "RateLimit-Remaining": "x"},
    ],
)
def test_what_is_no_quota_is_none(rates: Rates, headers: dict[str, str]) -> None:
    """And takes no older one away."""
    rates.note("docker.io", 200, CIMultiDict(headers))
    assert rates.quota("docker.io") is None
    rates.note("docker.io", 200, CIMultiDict({"RateLimit-Limit": "10", "RateLimit-Remaining": "4"}))
    rates.note("docker.io", 200, CIMultiDict(headers))
    assert rates.quota("docker.io") is not None


def test_a_quota_is_believed_for_a_while(rates: Rates, clock: _Clock) -> None:
    """Then others may have used it, or its window is over; it is still shown."""
    rates.note("docker.io", 200, CIMultiDict({"RateLimit-Limit": "10", "RateLimit-Remaining": "0"}))
    clock.now += 301
    assert rates.quota("docker.io") is None
    assert rates.quotas["docker.io"].remaining == 0

    headers = {"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "20"}
    rates.note("docker.io", 200, CIMultiDict(headers))
    clock.now += 19
    assert rates.quota("docker.io") is not None
    clock.now += 2
    assert rates.quota("docker.io") is None


def test_a_refusal_says_how_long_to_wait(rates: Rates, clock: _Clock) -> None:
    """In seconds or as a date; other answers' Retry-After is no rate limit."""
    rates.note("a", 429, CIMultiDict({"Retry-After": "30"}))
    rates.note("b", 503, CIMultiDict({"Retry-After": "30"}))
    sent, until = datetime(2030, 1, 1, 0, 0, 0, tzinfo=UTC), datetime(2030, 1, 1, 0, 1, 0, tzinfo=UTC)
    dates = {"Date": format_datetime(sent, usegmt=True), "Retry-After": format_datetime(until, usegmt=True)}
    rates.note("c", 429, CIMultiDict(dates))
    rates.note("d", 429, CIMultiDict({}))
    clock.now += 10
    assert [rates.pause(host) for host in "abcd"] == [20, 0, 50, 0]
    clock.now += 20
    assert rates.pauses == {"a": 0, "c": 30}


def test_hosts_without_end_are_not_all_remembered(rates: Rates) -> None:
    """The latest are."""
    for number in range(1500):
        rates.note(f"h{number}", 429, CIMultiDict({"Retry-After": "30"}))
    assert len(rates.pauses) == 1000
    assert rates.pause("h1499") == 30
