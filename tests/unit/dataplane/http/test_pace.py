"""How fast bytes go: bounded for each token, address and the node, evenly, over all processes."""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from dataplane.http.clocks import Clocks, key_of
from dataplane.http.limits import Hits
from dataplane.http.pace import Pace, Paces, Rates

MIB = 1 << 20


class Time:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clocks() -> Iterator[Clocks]:
    """What a node's processes share."""
    clocks = Clocks.create()
    yield clocks
    clocks.close()


def run(time: Time, paces: list[Pace], seconds: float) -> list[int]:
    """Let transfers that always want more run side by side; gives the bytes that each was sent."""
    sent = [0] * len(paces)
    due = [(time.now + pace.pay(0), index) for index, pace in enumerate(paces)]
    end = time.now + seconds
    while True:
        moment, index = min(due)
        if moment >= end:
            time.now = end
            return sent
        time.now = max(time.now, moment)
        pace = paces[index]
        sent[index] += pace.turn
        due[index] = (time.now + pace.pay(pace.turn), index)


def test_without_rates_there_is_nothing(clocks: Clocks) -> None:
    """No pace that could cost anything."""
    assert Paces(Rates(), clocks, Hits()).of("token", "::1") is None
    assert Paces(Rates(1, 1, 1), None, Hits()).of("token", "::1") is None


@pytest.mark.parametrize("rate", [20_000, MIB, 500 * MIB])
def test_a_rate_is_kept(clocks: Clocks, rate: int) -> None:
    """Over some time, to within a turn and what may be made up for."""
    time, hits = Time(), Hits()
    pace = Paces(Rates(token=rate), clocks, hits, time).of("token", "::1")
    assert pace is not None
    sent = sum(run(time, [pace], 10))
    assert abs(sent - 10 * rate) <= rate // 4 + 2 * pace.turn
    assert hits.token_rate > 0
    assert hits.address_rate == hits.node_rate == 0


def test_the_tightest_of_all_counts(clocks: Clocks) -> None:
    """And is the one that is named."""
    time, hits = Time(), Hits()
    pace = Paces(Rates(node=8 * MIB, token=4 * MIB, address=2 * MIB), clocks, hits, time).of("token", "::1")
    assert pace is not None
    assert abs(sum(run(time, [pace], 10)) - 20 * MIB) <= MIB
    assert hits.address_rate > 0
    assert hits.token_rate == hits.node_rate == 0


def test_transfers_share_evenly(clocks: Clocks) -> None:
    """Those of one token what the token may have, and all of them what the node has."""
    time = Time()
    paces = Paces(Rates(node=10 * MIB), clocks, Hits(), time)
    transfers = [paces.of(f"token-{number}", "::1") for number in range(8)]
    sent = run(time, [pace for pace in transfers if pace], 10)
    assert abs(sum(sent) - 100 * MIB) <= 8 * MIB
    # But for what the first made up for while it was alone.
    assert max(sent) - min(sent) <= 4 * MIB


def test_many_connections_get_no_more_than_one(clocks: Clocks) -> None:
    """A token that opens twenty does not outrun one that has one."""
    time = Time()
    paces = Paces(Rates(token=MIB), clocks, Hits(), time)
    greedy = [paces.of("greedy", f"10.0.0.{number}") for number in range(20)]
    modest = paces.of("modest", "10.0.1.1")
    sent = run(time, [pace for pace in (*greedy, modest) if pace], 10)
    assert abs(sum(sent[:20]) - 10 * MIB) <= 2 * MIB
    assert abs(sent[20] - 10 * MIB) <= MIB


def test_small_transfers_cannot_slip_through(clocks: Clocks) -> None:
    """One after the other, each for itself below a turn: they wait before they begin."""
    time = Time()
    paces = Paces(Rates(token=MIB), clocks, Hits(), time)
    waited = 0.0
    for _ in range(1000):
        pace = paces.of("token", "::1")
        assert pace is not None
        waited += (wait := pace.pay(0))
        time.now += wait
        pace.pay(10_000)
    assert waited > 8


def test_processes_count_together(clocks: Clocks) -> None:
    """A table that another process has inherited is the same."""
    time = Time()
    other = Clocks(os.dup(clocks.fileno()))
    transfers = [Paces(Rates(address=MIB), table, Hits(), time).of("t", "::1") for table in (clocks, other)]
    sent = run(time, [pace for pace in transfers if pace], 10)
    assert abs(sum(sent) - 10 * MIB) <= MIB
    other.close()


def test_a_table_that_is_full_still_bounds(clocks: Clocks) -> None:
    """Then some share a clock, and who has paid leaves no trace."""
    keys = [key_of("token", str(number)) for number in range(20_000)]
    owing = Counter(clocks.charge(key, 1.0, 1000.0) > 1001.5 for key in keys)
    assert owing[True] >= 20_000 - 8192
    assert clocks.charge(keys[0], 0.0, 2000.0) == 2000.0
    assert clocks.charge(key_of("token", "late"), 1.0, 30_000.0) == 30_001.0
