"""A watch of the configuration that runs, for tests to look at."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from clients.control.client import ControlClient
from dataplane.config.saved import SavedConfiguration
from dataplane.config.state import ConfigState
from dataplane.config.watch import ConfigWatch
from tests.fakes.controlplane import FakeControlPlane


async def until(condition: Callable[[], object]) -> None:
    """Wait for something that another task brings about."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody sets an event
            await asyncio.sleep(0.01)


class Following:
    """A watch that runs, with what it works on."""

    def __init__(self, plane: FakeControlPlane, path: Path) -> None:
        self.plane = plane
        self.path = path
        self.state = ConfigState()
        self.saved = SavedConfiguration(path)

    def knows(self, repository: str) -> bool:
        return self.state.configuration is not None and repository in self.state.configuration.repositories


@asynccontextmanager
async def following(
    plane: FakeControlPlane, path: Path, *, token: str = "", silence: float = 5, **more: Any
) -> AsyncIterator[Following]:
    """Run a watch, and end it."""
    found = Following(plane, path)
    async with ControlClient(plane.address, token or plane.token) as client:
        watch = ConfigWatch(client.nodes, found.state, found.saved, "1.2.3", silence=silence, **more)
        await watch.start_from_saved()
        task = asyncio.create_task(watch.run())
        try:
            yield found
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
