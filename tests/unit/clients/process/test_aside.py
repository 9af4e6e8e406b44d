"""Threads of their own: what comes out of them."""

import threading

import pytest

from clients.process.aside import aside


async def test_what_it_gives_is_given() -> None:
    """From a thread with that name, which no process waits for."""
    thread = await aside("by-itself", threading.current_thread)
    assert (thread.name, thread.daemon) == ("by-itself", True)


async def test_what_it_raises_is_raised() -> None:
    """Also what the hand-over itself may raise."""

    def fail() -> None:
        raise RuntimeError("of its own")

    with pytest.raises(RuntimeError, match="of its own"):
        await aside("by-itself", fail)
