"""The one of a node's processes that folds what all of them noted, keeps it, and has it sent."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Final

from dataplane.events.event import Event
from dataplane.events.fold import WINDOW, Fold
from dataplane.events.journal import Journal
from dataplane.events.noted import Noted
from dataplane.events.records import Record
from dataplane.events.report import Report
from dataplane.events.steps import Steps

_LOG = logging.getLogger(__name__)

_TICK: Final = 0.2
# Seconds that a record waits for earlier ones of other workers.
_HOLD: Final = 0.4
_SEND: Final = 1.0
# Seconds until the next attempt after a failure that nobody foresaw.
_TROUBLED: Final = 30.0
# Seconds that sending may take at the end; what is not sent stays on disk.
_PARTING: Final = 3.0


class Pulls:
    """Takes what was noted, and sees to it that the control plane gets each command once.

    `seen` is told of every command that ended. `clock` gives seconds since the epoch, and may be set.
    """

    def __init__(
        self,
        noted: Noted,
        journal: Journal,
        report: Report,
        seen: Callable[[Iterable[Event]], None],
        window: float = WINDOW,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._noted = noted
        self._journal = journal
        self._report = report
        self._seen = seen
        self._clock = clock
        self._steps = Steps(clock, time.monotonic)
        self._fold = Fold(window)
        self._held: list[Record] = []
        # While the journal writes down commands, in a thread, nothing may change them.
        self._turn = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Go on with what a process before this one left."""
        commands, now = await asyncio.to_thread(self._journal.load), self._clock()
        for command in commands:
            # Of a clock that was ahead.
            command.shift(min(0.0, now - command.touched))
        self._fold.restore(commands)
        self._tasks = [
            asyncio.create_task(self._keep(), name="events-keep"),
            asyncio.create_task(self._send(), name="events-send"),
        ]

    async def stop(self) -> None:
        """End every command, and send what can be sent in a moment; the rest stays on disk."""
        # In the middle of a turn a thread would go on with the journal, or never begin to write what ended.
        async with self._turn:
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._advance(float("inf"))
        ended = self._fold.end()
        self._seen(ended)
        async with self._turn:
            await asyncio.to_thread(self._journal.write, (), ended)
        try:
            async with asyncio.timeout(_PARTING):
                await self._send_all()
        except TimeoutError:
            pass
        finally:
            async with self._turn:
                self._journal.close()

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(_TICK)
            try:
                await self._keep_once(self._clock())
            except Exception:  # noqa: BLE001 - one record that is wrong must not end the recording of all
                _LOG.exception("Some pulls were not recorded.")

    async def _keep_once(self, now: float) -> None:
        async with self._turn:
            if step := self._steps.look():
                _LOG.info("The clock was set by %+.0f s: pulls that are under way are moved by that.", step)
                self._fold.shift(step)
                self._held = self._steps.moved(self._held)
            self._advance(now - _HOLD)
            ended = self._fold.ended(now)
            changed = self._fold.changed()
            if ended or changed:
                await asyncio.to_thread(self._journal.write, changed, ended)
        self._seen(ended)

    def _advance(self, until: float) -> None:
        self._held += self._steps.moved(self._noted.take())
        self._held.sort(key=attrgetter("at"))
        count = 0
        try:
            for record in self._held:
                if record.at > until:
                    break
                # Off the list whatever becomes of it: one that is wrong must not hold up the others.
                count += 1
                self._fold.take(record)
        finally:
            del self._held[:count]

    async def _send(self) -> None:
        while True:
            try:
                pause = await self._send_all()
            except Exception:  # noqa: BLE001 - events that wait are sent when whatever it was is over
                _LOG.exception("Pull events could not be sent.")
                pause = _TROUBLED
            await asyncio.sleep(max(_SEND, pause))

    async def _send_all(self) -> float:
        """Send until nothing is left, or the control plane does not take it; gives seconds to wait then."""
        while True:
            async with self._turn:
                sealed = await asyncio.to_thread(self._journal.seal, self._fold.open())
            if sealed is None:
                return 0.0
            pause = await self._report.send(sealed.events)
            if pause:
                return pause
            async with self._turn:
                await asyncio.to_thread(self._journal.drop, sealed)
