"""A look at what TLS says that takes longer than anybody waits."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from clients.control import diagnosis
from clients.control.diagnosis import diagnose
from clients.control.target import Target
from clients.control.trust import Trust


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A name server that does not answer before this is set, as it is in the end."""
    event = threading.Event()

    def connect(*_: Any, **__: Any) -> socket.socket:
        event.wait()
        raise OSError

    monkeypatch.setattr(socket, "create_connection", connect)
    late = threading.Timer(10, event.set)
    late.start()
    yield event
    late.cancel()
    event.set()


def test_a_process_that_ends_does_not_wait_for_it(answer: threading.Event) -> None:
    """Neither a command that is broken off, nor a node that is told to stop."""

    async def leave() -> None:
        task = asyncio.create_task(diagnose(Target.parse("penstock.example.com:8081"), Trust()))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])

    with asyncio.Runner() as runner:
        runner.run(leave())
    assert not answer.is_set()


def test_it_is_given_up_in_the_end(answer: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node tries again by then, and has nothing to say beyond that nothing was reached."""
    monkeypatch.setattr(diagnosis, "_LONGEST", 0.05)
    assert asyncio.run(diagnose(Target.parse("penstock.example.com:8081"), Trust())) == ""
    assert not answer.is_set()
