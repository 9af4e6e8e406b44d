"""Looks once a second for what time has brought: artifacts that are due, runs that are lost, old jobs."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

from clients.process.cancellation import heed_cancellation
from controlplane.catalog import held, tagging
from controlplane.model import sweep
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.sync import due, recovery
from controlplane.sync.limits import Limits
from controlplane.sync.lock_health import LockHealth
from controlplane.sync.locks import LocksUnavailable
from controlplane.sync.schedule import Schedule

_LOG = logging.getLogger(__name__)

# Seconds between two looks.
TICK: Final = 1.0
# Looks between two of those that tidy up.
_TIDY: Final = 60


class Ticker:
    """The clockwork of one replica; every replica has one. `wake` is called when jobs were written."""

    def __init__(
        self,
        database: Database,
        health: LockHealth,
        *,
        schedule: Schedule,
        limits: Limits,
        now: Callable[[], datetime],
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._health = health
        self._schedule = schedule
        self._limits = limits
        self._now = now
        self._wake = wake
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._ticking(), name="sync-ticker")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _ticking(self) -> None:
        count = 0
        more = False
        while True:
            try:
                if more or count % _TIDY == 0:
                    more = await self.tidy()
                await self.tick()
            except DatabaseUnavailable as error:
                _LOG.warning("The schedule cannot be looked at: %s", error)
            except Exception:  # noqa: BLE001 - one bad row must not end all schedules
                _LOG.exception("Looking at the schedule failed; it goes on.")
            count += 1
            heed_cancellation()
            await asyncio.sleep(TICK)

    async def tick(self) -> None:
        """Take up lost runs, and ask for the sync of artifacts that are due, unless syncs are paused."""
        with suppress(LocksUnavailable):
            await self._health.check()
        now = self._now()
        async with self._database.read() as session:
            lost = await recovery.waits(session)
            is_due = not self._health.problem and await due.waits(session, now)
        if lost:
            await self._recover(now)
        while is_due:
            async with self._database.write() as session:
                is_due = await due.create(session, self._schedule, now) == due.BATCH
            self._wake()

    async def tidy(self) -> bool:
        """Reckon next times anew where the schedule has changed, and delete some of what is long over.

        Tells whether more may be: millions take their time, and what is due does not wait for it.
        """
        now = self._now()
        planned = due.BATCH
        while planned == due.BATCH:
            async with self._database.write() as session:
                planned = await due.plan(session, self._schedule, now)
        async with self._database.read() as session:
            time = await sweep.time(session, now)
        async with self._database.write() as session:
            jobs = await recovery.forget(session, time - self._limits.retention)
        async with self._database.write() as session:
            revisions = await tagging.forget_history(session, time - self._limits.tag_history)
        return jobs == recovery.BATCH or revisions == held.BATCH

    async def _recover(self, now: datetime) -> None:
        async with self._database.write() as session:
            successors = await recovery.recover(session, now)
        if successors:
            _LOG.warning("%d syncs were not heard of any more and are taken up.", len(successors))
            self._wake()
