"""Starts and ends runs of sync: whatever asks for one, an artifact has one at a time."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.errors import UpstreamError
from controlplane.catalog.store import ArtifactChanged
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.saved import saved_id
from controlplane.model.signal import ChangeSignal
from controlplane.model.tables import Artifact, SyncJob
from controlplane.sync import jobs
from controlplane.sync.run import Run, RunEnded
from controlplane.sync.writer import Writer
from controlplane.upstream.access import UpstreamAccess
from penstock.v1 import artifact_pb2

_LOG = logging.getLogger(__name__)

# Artifacts that are synced at once.
_PARALLEL: Final = 8
# Seconds after which a job that another process runs is looked at again.
_LOOK_AGAIN: Final = 0.5
# Seconds between attempts to write how a job ended, while the database does not answer.
_WRITE_AGAIN: Final = 1.0
_CHANGED: Final = "The artifact was given another upstream while this ran."
_NO_DATABASE: Final = "The control plane's database did not answer while this ran."
_BROKEN: Final = "The sync broke off on an error of Penstock itself, which is in the control plane's log."

_Result = TypeVar("_Result")


@dataclass(slots=True)
class _Running:
    job_id: int
    task: asyncio.Task[None]
    # Ends the run early; None while it does not ask the upstream.
    limit: asyncio.Timeout | None = None
    superseded: bool = False


class Syncs:
    """Runs the sync jobs of this process, some at once, each for at most `timeout`.

    `now` is the time of day in UTC.
    """

    def __init__(
        self,
        database: Database,
        access: UpstreamAccess,
        *,
        timeout: timedelta,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._access = access
        self._timeout = timeout.total_seconds()
        self._now = now
        # Job to artifact, in the order in which they were asked for.
        self._waiting: dict[int, int] = {}
        # By artifact.
        self._running: dict[int, _Running] = {}
        self._changed = ChangeSignal()
        self._stopped = False

    async def start(self) -> None:
        """Take up what was waiting or running when the process stopped last."""
        async with self._database.write() as session:
            for job in await jobs.recover(session, self._now()):
                self._waiting[saved_id(job)] = job.artifact_id
        self._dispatch()

    async def stop(self) -> None:
        """Break off what runs, to be taken up by the next start, and end every watch."""
        self._stopped = True
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._changed.send()

    async def request(self, artifact_id: int, trigger: int, requested_by: str) -> SyncJob:
        """Ask for a sync; gives the job that does it, which may be waiting or running already.

        `trigger` is a value of penstock.v1.SyncJob.Trigger. Raises Unknown where the artifact is gone.
        """
        async with self._database.write() as session:
            job, superseded = await jobs.join_or_create(
                session, artifact_id, trigger, requested_by, self._now()
            )
        if superseded is not None:
            self._supersede(artifact_id)
        running = self._running.get(artifact_id)
        if running is None or running.job_id != job.id:
            self._waiting[saved_id(job)] = artifact_id
            self._dispatch()
        return job

    async def watch(self, job_uid: str) -> AsyncGenerator[SyncJob, None]:
        """Yield the job as it is, and again whenever it has changed; ends when it has, or is deleted."""
        shown: SyncJob | None = None
        while not self._stopped:
            seen = self._changed.count
            async with self._database.read() as session:
                job = (await session.exec(select(SyncJob).where(SyncJob.uid == job_uid))).first()
            if job is None:
                return
            if shown is None or job.model_dump() != shown.model_dump():
                shown = job
                yield job
            if job.end_time is not None:
                return
            await self._changed.wait(seen, _LOOK_AGAIN)

    def _dispatch(self) -> None:
        """Start what waits, while there is room, and no other run over the same artifact."""
        while len(self._running) < _PARALLEL and not self._stopped:
            ready = (item for item in self._waiting.items() if item[1] not in self._running)
            job_id, artifact_id = next(ready, (None, None))
            if job_id is None or artifact_id is None:
                return
            del self._waiting[job_id]
            task = asyncio.create_task(self._run(job_id, artifact_id), name=f"sync-{job_id}")
            self._running[artifact_id] = _Running(job_id, task)
            task.add_done_callback(partial(self._ended, artifact_id))

    def _ended(self, artifact_id: int, task: asyncio.Task[None]) -> None:
        del self._running[artifact_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("A sync job was left as it is.", exc_info=error)
        self._dispatch()

    def _supersede(self, artifact_id: int) -> None:
        running = self._running.get(artifact_id)
        if running is not None:
            running.superseded = True
            if running.limit is not None and not running.limit.expired():
                running.limit.reschedule(asyncio.get_running_loop().time())

    async def _run(self, job_id: int, artifact_id: int) -> None:
        artifact = await self._written(lambda session: jobs.claim(session, job_id, self._now()))
        if artifact is None:
            return
        self._changed.send()
        writer = Writer(self._database, artifact, job_id, now=self._now, written=self._changed.send)
        problem = await self._execute(self._running[artifact_id], artifact, writer)
        tally = writer.tally
        state, error = tally.verdict(problem)
        await self._written(
            lambda session: jobs.finish(session, job_id, artifact, state, error, tally, self._now())
        )
        self._changed.send()
        _LOG.log(
            logging.INFO if state == artifact_pb2.SyncJob.SUCCEEDED else logging.WARNING,
            "Sync of %s ended %s: %d tags, %d new, %d moved, %d failed, %d manifests fetched. %s",
            artifact.upstream,
            artifact_pb2.SyncJob.State.Name(state),
            tally.tags_total,
            tally.tags_new,
            tally.tags_moved,
            tally.tags_failed,
            tally.manifests_fetched,
            error,
        )

    async def _execute(self, running: _Running, artifact: Artifact, writer: Writer) -> str:
        """Run over the artifact and write what was learned; gives why it ended early, or nothing."""
        problem = ""
        try:
            async with asyncio.timeout(self._timeout) as running.limit:
                await Run(self._database, self._access.registry(artifact), artifact, writer).execute()
        except TimeoutError:
            problem = (
                f"The sync did not end within {self._timeout:g} seconds:"
                " give it more with REGISTRY_UPSTREAM_SYNC_TIMEOUT, or look why the upstream is slow."
            )
        except (UpstreamError, RunEnded) as error:
            problem = str(error)
        except ArtifactChanged:
            return _CHANGED
        except DatabaseUnavailable:
            problem = _NO_DATABASE
        except Exception:  # noqa: BLE001 - whatever it is, the job must not stay a running one
            _LOG.exception("The sync of %s broke off.", artifact.upstream)
            problem = _BROKEN
        finally:
            running.limit = None
        try:
            await self._patiently(writer.flush)
        except ArtifactChanged:
            return _CHANGED
        return _CHANGED if running.superseded else problem

    async def _written(self, change: Callable[[AsyncSession], Awaitable[_Result]]) -> _Result:
        """Make a change in a transaction of its own."""

        async def write() -> _Result:
            async with self._database.write() as session:
                return await change(session)

        return await self._patiently(write)

    async def _patiently(self, write: Callable[[], Awaitable[_Result]]) -> _Result:
        """Write as soon as the database answers: how a job ended must not be lost."""
        while True:
            try:
                return await write()
            except DatabaseUnavailable as error:
                _LOG.warning("A sync job waits to be written: %s", error)
                await asyncio.sleep(_WRITE_AGAIN)
