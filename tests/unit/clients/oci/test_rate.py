"""What upstreams say of their rate limits."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from multidict import CIMultiDict

from clients.oci.rate import Rates
from clients.oci.request import Account

HUB = Account("docker.io")


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
    rates.note(HUB, 200, CIMultiDict({"ratelimit-limit": limit, "RateLimit-Remaining": remaining}))
    quota = rates.quota(HUB)
    assert quota is not None
    assert (quota.limit, quota.remaining) == said
    assert quota.share == said[1] / said[0]
    assert rates.quota(Account("ghcr.io")) is None


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
    rates.note(HUB, 200, CIMultiDict(headers))
    assert rates.quota(HUB) is None
    rates.note(HUB, 200, CIMultiDict({"RateLimit-Limit": "10", "RateLimit-Remaining": "4"}))
    rates.note(HUB, 200, CIMultiDict(headers))
    assert rates.quota(HUB) is not None


def test_a_quota_is_believed_for_a_while(rates: Rates, clock: _Clock) -> None:
    """Then others may have used it, or its window is over; it is still shown."""
    rates.note(HUB, 200, CIMultiDict({"RateLimit-Limit": "10", "RateLimit-Remaining": "0"}))
    clock.now += 301
    assert rates.quota(HUB) is None
    assert rates.quotas["docker.io"].remaining == 0

    headers = {"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "20"}
    rates.note(HUB, 200, CIMultiDict(headers))
    clock.now += 19
    assert rates.quota(HUB) is not None
    clock.now += 2
    assert rates.quota(HUB) is None


def test_a_refusal_says_how_long_to_wait(rates: Rates, clock: _Clock) -> None:
    """In seconds or as a date; other answers' Retry-After is no rate limit."""
    rates.note(Account("a"), 429, CIMultiDict({"Retry-After": "30"}))
    rates.note(Account("b"), 503, CIMultiDict({"Retry-After": "30"}))
    sent, until = datetime(2030, 1, 1, 0, 0, 0, tzinfo=UTC), datetime(2030, 1, 1, 0, 1, 0, tzinfo=UTC)
    dates = {"Date": format_datetime(sent, usegmt=True), "Retry-After": format_datetime(until, usegmt=True)}
    rates.note(Account("c"), 429, CIMultiDict(dates))
    rates.note(Account("d"), 429, CIMultiDict({}))
    # It does not say how long: a moment.
    assert rates.pause(Account("d")) == 2
    clock.now += 10
    assert [rates.pause(Account(host)) for host in "abcd"] == [20, 0, 50, 0]
    clock.now += 20
    assert rates.pauses == {"a": 0, "c": 30, "d": 0}


def test_accounts_are_counted_by_themselves(rates: Rates) -> None:
    """Of a host, what is shown is the account that has the least left, and the longest pause; no names."""
    for name, left in (("rich", "90"), ("poor", "5"), ("", "50")):
        headers = {"RateLimit-Limit": "100", "RateLimit-Remaining": left}
        rates.note(Account("docker.io", name), 200, CIMultiDict(headers))
    rates.note(Account("docker.io", "poor"), 429, CIMultiDict({"Retry-After": "30"}))
    rates.note(Account("docker.io", ""), 429, CIMultiDict({"Retry-After": "3"}))
    quota = rates.quota(Account("docker.io", "rich"))
    assert quota is not None
    assert quota.remaining == 90
    assert rates.pause(Account("docker.io", "rich")) == 0
    assert rates.quotas["docker.io"].remaining == 5
    assert rates.pauses == {"docker.io": 30}
    assert "poor" not in repr(Account("docker.io", "poor"))


def test_hosts_without_end_are_not_all_remembered(rates: Rates) -> None:
    """The latest are."""
    for number in range(1500):
        rates.note(Account(f"h{number}"), 429, CIMultiDict({"Retry-After": "30"}))
    assert len(rates.pauses) == 1000
    assert rates.pause(Account("h1499")) == 30
