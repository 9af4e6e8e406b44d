"""Many who want the same at once."""

import asyncio

import pytest

from dataplane.resolve.merge import Merge


class Work:
    """Something to make, that waits to be let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = asyncio.Event()

    async def make(self) -> int:
        self.begun += 1
        number = self.begun
        await self.go.wait()
        return number


async def test_one_task_serves_all_who_ask_meanwhile() -> None:
    """And a new one those who ask afterwards."""
    merge: Merge[str, int] = Merge()
    work = Work()
    asking = [asyncio.create_task(merge.get("key", work.make)) for _ in range(50)]
    other = asyncio.create_task(merge.get("other", work.make))
    work.go.set()
    assert set(await asyncio.gather(*asking)) == {1}
    assert await other == 2
    assert await merge.get("key", work.make) == 3


async def test_it_goes_on_when_the_first_leaves() -> None:
    """The task belongs to nobody."""
    merge: Merge[str, int] = Merge()
    work = Work()
    first, second = (asyncio.create_task(merge.get("key", work.make)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    work.go.set()
    assert await second == 1
    assert first.cancelled()


async def test_all_get_the_error_and_it_is_not_remembered() -> None:
    """Nor reported as lost when nobody is left to see it."""
    merge: Merge[str, int] = Merge()

    async def fail() -> int:
        await asyncio.sleep(0)
        raise LookupError

    for _ in range(2):
        outcomes = await asyncio.gather(*(merge.get("key", fail) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [LookupError] * 3
    left = asyncio.create_task(merge.get("key", fail))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)


async def test_stop_ends_what_runs() -> None:
    """Those who wait are told by cancellation."""
    merge: Merge[str, int] = Merge()
    asking = asyncio.create_task(merge.get("key", Work().make))
    await asyncio.sleep(0)
    await merge.stop()
    with pytest.raises(asyncio.CancelledError):
        await asking
