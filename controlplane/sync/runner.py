"""Syncs, to the rest of the control plane: whatever asks for one, an artifact has one at a time."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry
from sqlmodel import select

from controlplane.model.database import Database
from controlplane.model.identifiers import new_uid
from controlplane.model.sync_tables import SyncJob
from controlplane.sync import jobs
from controlplane.sync.dispatch import Dispatcher
from controlplane.sync.emptying import Emptying, emptying
from controlplane.sync.execution import Claimed, Execution
from controlplane.sync.hosts import Hosts
from controlplane.sync.lease_rows import LeaseRows
from controlplane.sync.limits import Limits
from controlplane.sync.lock_health import LockHealth
from controlplane.sync.locks import Locks
from controlplane.sync.measures import SyncMeasures
from controlplane.sync.news import JobNews
from controlplane.sync.schedule import Schedule
from controlplane.sync.ticker import Ticker
from controlplane.sync.wakeups import Wakeups
from controlplane.upstream.access import UpstreamAccess
from penstock.v1 import artifact_pb2

# Seconds after which a job that another process may run is looked at again; twice as long each time that
# nothing has changed, at most.
_LOOK_AGAIN: Final = 0.5
_LONGEST: Final = 2.0
# Artifacts of one transaction.
_BATCH: Final = 500
_NONE: Final = Schedule("", UTC)


class Syncs:
    """Asks for syncs, runs them here or leaves them to other replicas, and shows how they go.

    Without `locks`, these are rows in the database; without `schedule`, nothing is asked for by itself;
    without `wakeups`, other replicas find what waits by looking, once a second.
    `instance` is the name of this control plane, which it has again after a restart. `now` is the time of
    day in UTC.
    """

    def __init__(
        self,
        database: Database,
        access: UpstreamAccess,
        *,
        locks: Locks | None = None,
        wakeups: Wakeups | None = None,
        schedule: Schedule = _NONE,
        limits: Limits | None = None,
        hosts: Hosts | None = None,
        measures: SyncMeasures | None = None,
        instance: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.schedule = schedule
        self._database = database
        self._access = access
        self._limits = limits or Limits()
        self._hosts = hosts or Hosts()
        self._now = now
        self._wakeups = wakeups
        self._news = JobNews()
        self._stopped = False
        locks = locks or LeaseRows(database)
        measures = measures or SyncMeasures(CollectorRegistry())
        self._health = LockHealth(locks, measures)
        self._dispatcher = Dispatcher(
            database,
            locks,
            self._health,
            self._execution,
            limits=self._limits,
            measures=measures,
            instance=instance or new_uid(),
            now=now,
        )
        self._ticker = Ticker(
            database,
            self._health,
            schedule=schedule,
            limits=self._limits,
            now=now,
            wake=self._wake,
        )

    @property
    def problem(self) -> str:
        """Why nothing is synced at present, one sentence; empty where all is well."""
        return self._health.problem

    async def start(self) -> None:
        """Begin to run what waits, and what is lost or due."""
        await self._ticker.tidy()
        self._ticker.start()
        await self._dispatcher.start()
        if self._wakeups is not None:
            self._wakeups.start(self._dispatcher.wake)

    async def stop(self) -> None:
        """Break off what runs, to be taken up by others or the next start, and end every watch."""
        self._stopped = True
        if self._wakeups is not None:
            await self._wakeups.stop()
        await self._ticker.stop()
        await self._dispatcher.stop()
        self._news.send_all()

    async def request(
        self, artifact_id: int, trigger: int, requested_by: str, *, force_removals: bool = False
    ) -> SyncJob:
        """Ask for a sync; gives the job that does it, which may be waiting or running already.

        `trigger` is a value of penstock.v1.SyncJob.Trigger. Raises Unknown where the artifact is gone,
        and LocksUnavailable for a MANUAL one that could not begin.
        """
        await self._refuse_what_cannot_begin(trigger)
        async with self._database.write() as session:
            job = await jobs.join_or_create(
                session, artifact_id, trigger, requested_by, self._now(), force_removals=force_removals
            )
        if trigger in jobs.SUPERSEDING:
            self._dispatcher.end_others(artifact_id, job.uid)
            self._news.send_all()
        self._news.send(job.uid)
        self._wake()
        return job

    async def request_all(
        self,
        artifact_ids: Collection[int],
        trigger: int,
        requested_by: str,
        *,
        force_removals: bool = False,
        told: Callable[[int, bool], None] = lambda *_: None,
    ) -> list[SyncJob]:
        """Ask for the syncs of many artifacts, as `request` does; gives the jobs, in no order.

        `told` hears, in each transaction, how many jobs there are with it, and whether that is all.
        """
        await self._refuse_what_cannot_begin(trigger)
        wanted, answer = list(artifact_ids), []
        for start in range(0, len(wanted), _BATCH):
            async with self._database.write() as session:
                answer += await jobs.join_or_create_all(
                    session,
                    wanted[start : start + _BATCH],
                    trigger,
                    requested_by,
                    self._now(),
                    force_removals=force_removals,
                )
                told(len(answer), start + _BATCH >= len(wanted))
            self._wake()
        return answer

    @asynccontextmanager
    async def emptying(self, requested_by: str) -> AsyncIterator[Emptying]:
        """Keep runs off artifacts that are emptied in the block; what is there afterwards is synced.

        Raises DatabaseUnavailable.
        """
        try:
            async with emptying(
                self._database, requested_by, lasting=self._limits.lease, now=self._now
            ) as taken:
                yield taken
        finally:
            self._wake()

    async def watch(self, job_uid: str) -> AsyncGenerator[SyncJob, None]:
        """Yield the job as it is, and again whenever it has changed; ends when it has, or is deleted."""
        shown: SyncJob | None = None
        pause = _LOOK_AGAIN
        with self._news.of(job_uid) as changed:
            while not self._stopped:
                seen = changed.count
                async with self._database.read() as session:
                    job = (await session.exec(select(SyncJob).where(SyncJob.uid == job_uid))).first()
                if job is None:
                    return
                # A beat is no news.
                if shown is None or _told(job) != _told(shown):
                    shown, pause = job, _LOOK_AGAIN
                    yield job
                if job.end_time is not None:
                    return
                await changed.wait(seen, pause)
                pause = min(2 * pause, _LONGEST)

    def _wake(self) -> None:
        self._dispatcher.wake()
        if self._wakeups is not None:
            self._wakeups.tell()

    def _execution(self, claimed: Claimed) -> Execution:
        written = partial(self._news.send, claimed.job.uid)
        written()
        return Execution(
            claimed,
            self._database,
            self._access,
            hosts=self._hosts,
            timeout=self._limits.timeout.total_seconds(),
            now=self._now,
            written=written,
        )

    async def _refuse_what_cannot_begin(self, trigger: int) -> None:
        if trigger == artifact_pb2.SyncJob.MANUAL:
            await self._health.check()


def _told(job: SyncJob) -> dict[str, object]:
    return job.model_dump(exclude={"lease_until"})
