"""Turns at upstream hosts: how many at once, when, and when not."""

import asyncio

import pytest

from clients.oci.rate import Rates
from clients.oci.request import Account
from controlplane.sync.ended import RunEnded
from controlplane.sync.hosts import Hosts

A = Account("a")
B = Account("b")


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
        async with hosts.turn(Account(host), deadline=deadline, sparing=False):
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
    rates.note(A, 429, {"Retry-After": "30"})
    async with hosts.turn(A, deadline=hosts.deadline(31), sparing=False):
        assert clock.now == 30
    rates.note(A, 429, {"Retry-After": "30"})
    with pytest.raises(RunEnded, match="30 seconds"):
        async with hosts.turn(A, deadline=hosts.deadline(30), sparing=False):
            pass
    async with hosts.turn(B, deadline=hosts.deadline(1), sparing=False):
        assert clock.now == 30


async def test_who_somebody_asked_for_tries_again(hosts: Hosts, rates: Rates, clock: _Clock) -> None:
    """Once a minute at most, however long the host wants to be left alone; what the schedule brings waits."""
    rates.note(A, 429, {"Retry-After": "86400"})
    clock.now += 59
    for sparing in (True, False):
        with pytest.raises(RunEnded, match="left alone"):
            async with hosts.turn(A, deadline=hosts.deadline(600), sparing=sparing):
                pass
    clock.now += 1
    with pytest.raises(RunEnded, match="left alone"):
        async with hosts.turn(A, deadline=hosts.deadline(600), sparing=True):
            pass
    async with hosts.turn(A, deadline=hosts.deadline(600), sparing=False):
        rates.note(A, 429, {"Retry-After": "86400"})
    with pytest.raises(RunEnded, match="left alone"):
        async with hosts.turn(A, deadline=hosts.deadline(600), sparing=False):
            pass


async def test_a_host_is_left_alone_for_six_hours_at_most(hosts: Hosts, rates: Rates, clock: _Clock) -> None:
    """Also by the schedule, whatever it said."""
    rates.note(A, 429, {"Retry-After": "86400"})
    clock.now += 6 * 3600
    async with hosts.turn(A, deadline=hosts.deadline(1), sparing=True):
        pass


@pytest.mark.parametrize(("left", "goes_on"), [("25", True), ("24", False), ("0", False)])
async def test_sparing_runs_leave_a_share(hosts: Hosts, rates: Rates, left: str, goes_on: bool) -> None:
    """Others may use it up."""
    rates.note(A, 200, {"RateLimit-Limit": "100", "RateLimit-Remaining": left})
    deadline = hosts.deadline(60)
    async with hosts.turn(A, deadline=deadline, sparing=False):
        pass
    if goes_on:
        async with hosts.turn(A, deadline=deadline, sparing=True):
            return
    with pytest.raises(RunEnded, match=f"{left} of 100"):
        async with hosts.turn(A, deadline=deadline, sparing=True):
            pass


async def test_each_account_has_limits_of_its_own(hosts: Hosts, rates: Rates, clock: _Clock) -> None:
    """What one user has used up, or is refused, keeps nobody else from the host."""
    poor, rich = Account("a", "poor"), Account("a", "rich")
    rates.note(poor, 429, {"RateLimit-Limit": "100", "RateLimit-Remaining": "0", "Retry-After": "30"})
    rates.note(rich, 200, {"RateLimit-Limit": "100", "RateLimit-Remaining": "90"})
    for account in (rich, A):
        async with hosts.turn(account, deadline=hosts.deadline(10), sparing=True):
            assert clock.now == 0
    with pytest.raises(RunEnded, match="30 seconds"):
        async with hosts.turn(poor, deadline=hosts.deadline(10), sparing=False):
            pass


async def test_who_has_to_wait_takes_no_place_of_others(rates: Rates, clock: _Clock) -> None:
    """A run that a user's limit holds up for minutes holds up no run with another user name."""
    poor, rich = Account("a", "poor"), Account("a", "rich")
    over = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await over.wait()
        await clock.sleep(seconds)

    async def ask(account: Account) -> None:
        async with hosts.turn(account, deadline=hosts.deadline(60), sparing=False):
            pass

    hosts = Hosts(rates, parallel=3, clock=clock, sleep=sleep)
    rates.note(poor, 429, {"Retry-After": "30"})
    waiting = [asyncio.create_task(ask(poor)) for _ in range(3)]
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await ask(rich)
    assert not any(task.done() for task in waiting)
    over.set()
    await asyncio.gather(*waiting)


async def test_a_pause_that_begins_while_a_place_is_waited_for_is_waited_for(
    rates: Rates, clock: _Clock
) -> None:
    """The answer that says so came to whoever had the place."""
    hosts = Hosts(rates, parallel=1, clock=clock, sleep=clock.sleep)
    async with hosts.turn(A, deadline=hosts.deadline(60), sparing=False):
        following = asyncio.create_task(_time_of_turn(hosts, clock))
        await asyncio.sleep(0)
        rates.note(A, 429, {"Retry-After": "30"})
    assert await following == 30


async def _time_of_turn(hosts: Hosts, clock: _Clock) -> float:
    async with hosts.turn(A, deadline=hosts.deadline(60), sparing=False):
        return clock.now
