"""Runs processes as one: in order of need, again when they crash, and all to the end."""

import asyncio
import contextlib
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from clients.cli.child import describe, start, stop
from clients.cli.ready import is_ready
from clients.process.exits import Exit
from clients.process.listen import Address

_POLL: Final = 0.1
_PATIENCE: Final = 20.0
"""Seconds after which a process that is not ready is worth a line."""


@dataclass(frozen=True, slots=True)
class Plane:
    """A process: what people call it, its command line, where it answers `/readyz`, and if by https."""

    title: str
    command: tuple[str, ...]
    health: Address
    tls: bool = False


async def _answers(plane: Plane) -> bool:
    return await is_ready(plane.health.dialled, tls=plane.tls)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: before each restart in a row, up after which that row begins anew, to end in order."""

    pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
    settled: float = 60.0
    grace: float = 30.0


class Supervisor:
    """Starts each plane when the one before it is ready, and keeps them running until told to stop.

    A plane that crashes is started again, after pauses that grow. One that ends with
    Exit.CONFIGURATION, or before it was ever ready, ends everything: starting again will not help.
    """

    def __init__(
        self,
        planes: Sequence[Plane],
        environment: Mapping[str, str],
        say: Callable[[str], None],
        timing: Timing | None = None,
        ready: Callable[[Plane], Awaitable[bool]] = _answers,
    ) -> None:
        self._planes = planes
        self._environment = environment
        self._say = say
        self._timing = timing or Timing()
        self._ready = ready
        self._running: dict[str, Process] = {}
        self._was_ready: set[str] = set()

    async def run(self, announce: Callable[[], None], stopping: asyncio.Event, hurry: asyncio.Event) -> int:
        """Run until `stopping` is set, or a plane ends everything; gives the exit code.

        `announce` is called once, when all are ready. `hurry` cuts the orderly end short.
        """
        stopped = asyncio.create_task(stopping.wait())
        keepers: list[asyncio.Task[int]] = []
        try:
            for plane in self._planes:
                keepers.append(asyncio.create_task(self._keep(plane)))
                ready = asyncio.create_task(self._wait_until_ready(plane))
                await asyncio.wait((stopped, ready, *keepers), return_when=asyncio.FIRST_COMPLETED)
                if not ready.done():
                    ready.cancel()
                    return _outcome(keepers)
                await ready
            announce()
            await asyncio.wait((stopped, *keepers), return_when=asyncio.FIRST_COMPLETED)
            return _outcome(keepers)
        finally:
            stopped.cancel()
            await _cancelled(keepers)
            await self._stop(hurry)

    async def _keep(self, plane: Plane) -> int:
        """Run a plane again and again; gives the code with which everything has to end."""
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            try:
                process = await start(plane.command, self._environment)
            except OSError as error:
                if plane.title not in self._was_ready:
                    raise
                # For want of memory or processes, which passes.
                what = f"cannot be started ({(error.strerror or str(error)).lower()})"
            else:
                self._running[plane.title] = process
                code = await process.wait()
                what = f"ended {describe(code)}"
                if code == Exit.CONFIGURATION:
                    return code
                if plane.title not in self._was_ready:
                    self._say(f"The {plane.title} {what} before it was ready; see above for why.")
                    return code if code > 0 else Exit.FAILED
            if loop.time() - began >= self._timing.settled:
                failures = 0
            pause = self._timing.pauses[min(failures, len(self._timing.pauses) - 1)]
            failures += 1
            self._say(f"The {plane.title} {what}; it starts again in {pause:g} s.")
            await asyncio.sleep(pause)

    async def _wait_until_ready(self, plane: Plane) -> None:
        loop = asyncio.get_running_loop()
        worth_a_line = loop.time() + _PATIENCE
        while not await self._ready(plane):
            if loop.time() >= worth_a_line:
                scheme = "https" if plane.tls else "http"
                self._say(
                    f"Still waiting for the {plane.title}: {scheme}://{plane.health.dialled}/readyz says why."
                )
                worth_a_line = loop.time() + _PATIENCE
            await asyncio.sleep(_POLL)
        self._was_ready.add(plane.title)

    async def _stop(self, hurry: asyncio.Event) -> None:
        # The later ones need the earlier ones, and may need them to finish what they do.
        for plane in reversed(self._planes):
            process = self._running.get(plane.title)
            if process and not await stop(process, self._timing.grace, hurry):
                self._say(f"The {plane.title} did not end in time and was killed.")


def _outcome(keepers: Sequence[asyncio.Task[int]]) -> int:
    ended = next((keeper for keeper in keepers if keeper.done()), None)
    return ended.result() if ended else Exit.OK


async def _cancelled(tasks: Sequence[asyncio.Task[int]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        # What they ended with was looked at before.
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await task
