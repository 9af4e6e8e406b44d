"""How simultaneous wishes for one thing become one piece of work."""

import asyncio

import pytest

from clients.process.merge import Merge


class _Work:
    """Counts how often it is done; ends when it is told to."""

    def __init__(self) -> None:
        self.done = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> int:
        self.done += 1
        await self.gate.wait()
        return self.done


async def test_those_who_ask_at_once_share_one_outcome() -> None:
    """Twenty callers cause one piece of work, and all get what it made; the next causes another."""
    merge: Merge[str, int] = Merge()
    work = _Work()
    callers = [asyncio.ensure_future(merge.run("key", work)) for _ in range(20)]
    await asyncio.sleep(0)
    work.gate.set()
    assert await asyncio.gather(*callers) == [1] * 20
    assert await merge.run("key", work) == 2


async def test_begin_does_not_wait_and_is_joined() -> None:
    """What was begun in the background is what a later caller gets."""
    merge: Merge[str, int] = Merge()
    work = _Work()
    task = merge.begin("key", work)
    assert merge.begin("key", work) is task
    caller = asyncio.ensure_future(merge.run("key", work))
    await asyncio.sleep(0)
    work.gate.set()
    assert await caller == 1


async def test_other_keys_are_other_work() -> None:
    """Different things are not confused."""
    merge: Merge[str, int] = Merge()
    work = _Work()
    work.gate.set()
    assert sorted(await asyncio.gather(merge.run("a", work), merge.run("b", work))) == [1, 2]


async def test_work_outlives_the_caller_who_started_it() -> None:
    """A client that goes away takes nothing from those who came after it."""
    merge: Merge[str, int] = Merge()
    work = _Work()
    first = asyncio.ensure_future(merge.run("key", work))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(merge.run("key", work))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.gate.set()
    assert await second == 1


async def test_failure_reaches_all_and_is_not_kept() -> None:
    """An error is everybody's, and the next caller tries again."""
    merge: Merge[str, int] = Merge()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise OSError("broken")

    outcomes = await asyncio.gather(*(merge.run("key", fail) for _ in range(3)), return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["broken"] * 3

    # Nor is it reported as lost where nobody is left to see it: that would fail the test.
    left = asyncio.ensure_future(merge.run("key", fail))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    await asyncio.sleep(0)

    work = _Work()
    work.gate.set()
    assert await merge.run("key", work) == 1


async def test_stop_cancels_what_runs() -> None:
    """Nothing runs on when the process stops."""
    merge: Merge[str, int] = Merge()
    caller = asyncio.ensure_future(merge.run("key", _Work()))
    await asyncio.sleep(0)
    await merge.stop()
    with pytest.raises(asyncio.CancelledError):
        await caller
