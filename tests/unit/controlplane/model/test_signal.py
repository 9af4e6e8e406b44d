"""Waiting for a change."""

import asyncio

from controlplane.model.signal import ChangeSignal


async def test_every_waiter_wakes() -> None:
    """One change reaches all who wait."""
    signal = ChangeSignal()
    waiting = [asyncio.create_task(signal.wait(0, 30)) for _ in range(3)]
    await asyncio.sleep(0)
    signal.send()
    assert await asyncio.gather(*waiting) == [1, 1, 1]


async def test_a_change_before_the_wait_is_not_lost() -> None:
    """Who took the count before the change does not wait for another one."""
    signal = ChangeSignal()
    seen = signal.count
    signal.send()
    assert await signal.wait(seen, 30) == seen + 1


async def test_a_wait_ends() -> None:
    """Without a change the count comes back as it was."""
    assert await ChangeSignal().wait(0, 0.001) == 0
