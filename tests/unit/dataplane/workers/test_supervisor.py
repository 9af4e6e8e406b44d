"""Supervisor: what becomes of a node whose machine is short of everything."""

import asyncio
import errno
from collections.abc import Callable
from typing import Any

import pytest

from clients.process.exits import Exit
from dataplane.workers import supervisor
from dataplane.workers.supervisor import Supervisor


class FakeWorker:
    """A worker without a process, which serves until it is terminated."""

    failure = ""
    metrics: list[Any]
    readiness: dict[str, Any]

    def __init__(self, ready: Callable[[], None]) -> None:
        self.metrics, self.readiness = [], {}
        self._ready = ready
        self._ended = asyncio.Event()

    async def run(self) -> int:
        self._ready()
        await self._ended.wait()
        return 0

    def terminate(self) -> None:
        self._ended.set()

    def kill(self) -> None:
        self._ended.set()

    def tell(self, _: object) -> bool:
        return True


async def test_a_worker_that_cannot_be_replaced_at_once_is_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The machine has no memory for a new process: the other workers serve on, and it is tried again."""
    monkeypatch.setattr(supervisor, "_PAUSES", (0.0, 0.01))
    started: list[FakeWorker] = []
    refusals = [OSError(errno.ENOMEM, "Cannot allocate memory")] * 3

    class Starts:
        @classmethod
        async def start(cls, _: object, __: object, ___: object, ready: Any, *____: object) -> FakeWorker:
            if len(started) == 2 and refusals:
                raise refusals.pop()
            started.append(FakeWorker(ready))
            return started[-1]

    monkeypatch.setattr(supervisor, "Worker", Starts)
    stop, announced = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(Supervisor(2, "127.0.0.1:0", 1.0).run(announced.set, stop, asyncio.Event()))
    async with asyncio.timeout(20):
        await announced.wait()
        started[0].terminate()
        while len(started) < 3:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
        assert not running.done()
        stop.set()
        assert await running == Exit.OK
    assert caplog.text.count("before it began: Cannot allocate memory") == 3
