"""Claims jobs that wait, whichever replica wrote them, and runs some at once, each under its lock."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from clients.process.cancellation import heed_cancellation
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.identifiers import new_uid
from controlplane.model.signal import ChangeSignal
from controlplane.sync import jobs, recovery
from controlplane.sync.beating import beating
from controlplane.sync.execution import Claimed, Execution
from controlplane.sync.limits import Limits
from controlplane.sync.lock_health import LockHealth
from controlplane.sync.locks import Lease, Locks, LocksUnavailable
from controlplane.sync.measures import SyncMeasures

_LOG = logging.getLogger(__name__)

# Seconds until jobs are looked for that other replicas wrote.
_LOOK_AGAIN: Final = 1.0
# Candidates looked at for each free place: others may be quicker with some.
_CHOICE: Final = 4


@dataclass(slots=True)
class _Running:
    execution: Execution
    host: str
    # When its job was last renewed, by the loop's clock.
    heard: float
    task: "asyncio.Task[None] | None" = None


class Dispatcher:
    """Runs the jobs of this process: at most so many at once, and so many of one upstream host.

    `executing` makes the run of a job that was claimed; `instance` is a name that no other process has now.
    """

    def __init__(
        self,
        database: Database,
        locks: Locks,
        health: LockHealth,
        executing: Callable[[Claimed], Execution],
        *,
        limits: Limits,
        measures: SyncMeasures,
        instance: str,
        now: Callable[[], datetime],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._locks = locks
        self._health = health
        self._executing = executing
        self._limits = limits
        self._measures = measures
        self._instance = instance
        self._now = now
        self._chance = chance
        # By the token of the lock.
        self._running: dict[str, _Running] = {}
        self._wanted = ChangeSignal()
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take up what was running when this instance was killed, and begin to look for jobs."""
        async with self._database.write() as session:
            await recovery.take_back(session, self._instance, self._now())
        self._loops = [
            asyncio.create_task(self._filling(), name="sync-dispatch"),
            asyncio.create_task(beating(self._limits.lease, self._beat), name="sync-beat"),
        ]

    async def stop(self) -> None:
        """Break off what runs, and leave it to others to take up."""
        await _cancel(self._loops)
        tokens = list(self._running)
        await _cancel([running.task for running in self._running.values() if running.task is not None])
        if not tokens:
            return
        try:
            async with self._database.write() as session:
                await recovery.give_up(session, tokens, recovery.STOPPED, self._now())
        except DatabaseUnavailable as error:
            _LOG.warning("Syncs that were broken off are taken up when their leases expire: %s", error)

    def wake(self) -> None:
        """Look for jobs now."""
        self._wanted.send()

    def end_others(self, artifact_id: int, job_uid: str) -> None:
        """End the run over an artifact early, where that is not the run of this job."""
        for running in self._running.values():
            job = running.execution.claimed.job
            if job.artifact_id == artifact_id and job.uid != job_uid:
                running.execution.end_early()

    async def _filling(self) -> None:
        while True:
            seen = self._wanted.count
            try:
                await self._fill()
            except LocksUnavailable as error:
                self._health.fail(error)
            except DatabaseUnavailable as error:
                _LOG.warning("No sync can begin: %s", error)
            except Exception:  # noqa: BLE001 - one bad row must not end all syncs
                _LOG.exception("Looking for syncs to run failed; it goes on.")
            heed_cancellation()
            await self._wanted.wait(seen, _LOOK_AGAIN)

    async def _fill(self) -> None:
        """Start what waits, while there is room."""
        begun = True
        while begun and (free := self._limits.parallel - len(self._running)) > 0:
            async with self._database.read() as session:
                found = await jobs.waiting(session, self._busy_hosts(), free * _CHOICE)
            begun = False
            # Replicas that look at once should not all want the same.
            for item in sorted(found, key=lambda item: (item.scheduled, self._chance())):
                if len(self._running) >= self._limits.parallel:
                    break
                if item.host not in self._busy_hosts():
                    begun |= await self._begin(item)

    def _busy_hosts(self) -> set[str]:
        counts = Counter(running.host for running in self._running.values())
        return {host for host, count in counts.items() if count >= self._limits.parallel_per_host}

    async def _begin(self, item: jobs.Waiting) -> bool:
        lease = await self._locks.acquire(
            item.artifact_uid, f"{self._instance}.{new_uid()}", self._limits.lease, above=item.fence
        )
        if lease is None:
            return False
        try:
            async with self._database.write() as session:
                claimed = await jobs.claim(session, item, lease, self._limits.lease, self._now())
        except BaseException:
            await self._release(lease)
            raise
        if claimed is None:
            await self._release(lease)
            return False
        execution = self._executing(Claimed(*claimed, lease))
        running = _Running(execution, item.host, asyncio.get_running_loop().time())
        self._running[lease.token] = running
        self._measures.holds(len(self._running))
        running.task = asyncio.create_task(self._run(execution), name=f"sync-{item.job_id}")
        return True

    async def _run(self, execution: Execution) -> None:
        claimed = execution.claimed
        started = asyncio.get_running_loop().time()
        try:
            state = await execution.execute()
            if state is None:
                self._measures.lost()
                _LOG.warning(
                    "Sync of %s was ended from outside, or lost its lock; another run takes its place.",
                    claimed.artifact.upstream,
                )
            else:
                seconds = asyncio.get_running_loop().time() - started
                self._measures.ended(state, claimed.job.trigger, seconds)
        except Exception:  # noqa: BLE001 - nobody waits for this task
            _LOG.exception("A sync job was left as it is.")
        finally:
            del self._running[claimed.lease.token]
            self._measures.holds(len(self._running))
            await self._release(claimed.lease)
            self._wanted.send()

    async def _beat(self) -> None:
        """Say of every run that it goes on, and end those that may not."""
        running = dict(self._running)
        if not running:
            return
        loop, lease = asyncio.get_running_loop(), self._limits.lease
        try:
            async with self._database.write() as session:
                alive = await recovery.beat(session, list(running), lease)
        except DatabaseUnavailable as error:
            _LOG.warning("The leases of syncs cannot be renewed: %s", error)
            for item in running.values():
                # By now others may have taken it up.
                if loop.time() - item.heard > lease.total_seconds():
                    item.execution.end_early()
            return
        for token, item in running.items():
            if token in alive:
                item.heard = loop.time()
            else:
                item.execution.end_early()
        await asyncio.gather(*(self._renew(running[token]) for token in alive))

    async def _renew(self, item: _Running) -> None:
        try:
            if not await self._locks.renew(item.execution.claimed.lease, self._limits.lease):
                item.execution.end_early()
        except LocksUnavailable as error:
            # Nobody else can begin either: the table says that this one runs.
            self._health.fail(error)

    async def _release(self, lease: Lease) -> None:
        try:
            await self._locks.release(lease)
        except LocksUnavailable as error:
            _LOG.info("A lock stays until it expires: %s", error)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
