"""Turns at upstream hosts: how many at once, when, and when not."""

import asyncio

import pytest

from clients.oci.rate import Rates
from controlplane.sync.ended import RunEnded
from controlplane.sync.hosts import Hosts


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> _Clock:
    """A clock that goes on when somebody sleeps."""
    return _Clock()


@pytest.fixture
def rates(clock: _Clock) -> Rates:
    """What hosts said."""
    return Rates(clock)


@pytest.fixture
def hosts(clock: _Clock, rates: Rates) -> Hosts:
    """What is tested."""
    return Hosts(rates, parallel=3, share=0.25, clock=clock, sleep=clock.sleep)


async def test_a_host_is_asked_by_so_many_at_once(hosts: Hosts) -> None:
    """Whatever runs they are of; other hosts have turns of their own."""
    now = most = 0
    deadline = hosts.deadline(60)

    async def ask(host: str) -> None:
        nonlocal now, most
        async with hosts.turn(host, deadline=deadline, sparing=False):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(ask("a") for _ in range(50)))
    assert most == 3
    most = 0
    await asyncio.gather(*(ask(host) for host in "abcd" for _ in range(50)))
    assert most == 12


async def test_a_pause_is_waited_for(hosts: Hosts, rates: Rates, clock: _Clock) -> None:
    """Where the run lasts that long."""
    rates.note("a", 429, {"Retry-After": "30"})
    async with hosts.turn("a", deadline=hosts.deadline(31), sparing=False):
        assert clock.now == 30
    rates.note("a", 429, {"Retry-After": "30"})
    with pytest.raises(RunEnded, match="30 seconds"):
        async with hosts.turn("a", deadline=hosts.deadline(30), sparing=False):
            pass
    async with hosts.turn("b", deadline=hosts.deadline(1), sparing=False):
        assert clock.now == 30


@pytest.mark.parametrize(("left", "goes_on"), [("25", True), ("24", False), ("0", False)])
async def test_sparing_runs_leave_a_share(hosts: Hosts, rates: Rates, left: str, goes_on: bool) -> None:
    """Others may use it up."""
    rates.note("a", 200, {"RateLimit-Limit": "100", "RateLimit-Remaining": left})
    deadline = hosts.deadline(60)
    async with hosts.turn("a", deadline=deadline, sparing=False):
        pass
    if goes_on:
        async with hosts.turn("a", deadline=deadline, sparing=True):
            return
    with pytest.raises(RunEnded, match=f"{left} of 100"):
        async with hosts.turn("a", deadline=deadline, sparing=True):
            pass
