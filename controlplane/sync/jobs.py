"""The rows of sync jobs: asked for, claimed and ended."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.catalog.unknown import Unknown, UnknownReason
from controlplane.model.artifact_tables import Artifact
from controlplane.model.clock import milliseconds
from controlplane.model.identifiers import new_uid
from controlplane.model.locks import Hold, lock
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync.lease_rows import is_held
from controlplane.sync.locks import Lease
from controlplane.sync.tally import Tally
from penstock.v1 import artifact_pb2

_Job = artifact_pb2.SyncJob

UPSTREAM_CHANGED: Final = "The artifact was emptied for another upstream while this ran."
SUPERSEDING: Final = {
    _Job.UPSTREAM_CHANGE: UPSTREAM_CHANGED,
    _Job.CREDENTIAL_CHANGE: "The artifact was given another credential while this ran.",
}
"""Triggers that end a run which goes by something older, and what is said of that."""
_UNFINISHED: Final = (_Job.PENDING, _Job.RUNNING)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job that can be claimed, as far as the tables know."""

    job_id: int
    artifact_id: int
    # Name of its lock.
    artifact_uid: str
    # The highest fence of any run so far.
    fence: int
    # Host and port of the upstream.
    host: str
    # Nobody waits for it.
    scheduled: bool


async def join_or_create(
    session: AsyncSession,
    artifact_id: int,
    trigger: int,
    requested_by: str,
    now: datetime,
    *,
    force_removals: bool = False,
) -> SyncJob:
    """Give the job that answers a request.

    That is one that waits or runs already, if there is one. A run over the upstream or with the credential
    that the artifact had before does not answer for a new one: it ends. Nor does one that began without
    `force_removals` answer who wants these: it goes on, and another one waits. Raises Unknown where the
    artifact is gone.
    """
    # Two requests at once must not make two jobs.
    if not await lock(session, col(Artifact.id), Hold.CHANGES, col(Artifact.id) == artifact_id):
        raise Unknown(UnknownReason.ARTIFACT, "There is no such artifact.")
    found = await session.exec(
        select(SyncJob)
        .where(SyncJob.artifact_id == artifact_id, col(SyncJob.state).in_(_UNFINISHED))
        .with_for_update()
    )
    by_state = {job.state: job for job in found}
    waiting, running = by_state.get(_Job.PENDING), by_state.get(_Job.RUNNING)
    if running is not None and trigger in SUPERSEDING:
        end(running, SUPERSEDING[_Job.Trigger.ValueType(trigger)], now)
        session.add(running)
        running = None
    if running is not None and force_removals and not running.force_removals:
        # It has read already what it is to do.
        running = None
    if waiting is not None:
        waiting.force_removals = waiting.force_removals or force_removals
        session.add(waiting)
    answer = waiting or running or new_job(artifact_id, trigger, requested_by, now, force_removals)
    session.add(answer)
    await session.flush()
    return answer


async def join_or_create_all(
    session: AsyncSession,
    artifact_ids: Collection[int],
    trigger: int,
    requested_by: str,
    now: datetime,
    *,
    force_removals: bool = False,
) -> list[SyncJob]:
    """Give a job for each of these artifacts, as `join_or_create` does; none for those gone."""
    locked = await lock(session, col(Artifact.id), Hold.CHANGES, col(Artifact.id).in_(artifact_ids))
    found = await session.exec(
        select(SyncJob)
        .where(col(SyncJob.artifact_id).in_(artifact_ids), col(SyncJob.state).in_(_UNFINISHED))
        .order_by(col(SyncJob.state).desc())
    )
    # Where one waits and one runs, the one that waits: it knows of all that was changed.
    jobs = {
        job.artifact_id: job
        for job in found
        if job.state == _Job.PENDING or job.force_removals or not force_removals
    }
    for artifact_id in locked:
        if artifact_id not in jobs:
            jobs[artifact_id] = new_job(artifact_id, trigger, requested_by, now, force_removals)
            session.add(jobs[artifact_id])
        elif force_removals and jobs[artifact_id].state == _Job.PENDING:
            jobs[artifact_id].force_removals = True
            session.add(jobs[artifact_id])
    await session.flush()
    return list(jobs.values())


async def waiting(session: AsyncSession, busy_hosts: Collection[str], limit: int) -> list[Waiting]:
    """Give jobs that wait, what people asked for first; none of artifacts that are synced or emptied now."""
    running = select(SyncJob.artifact_id).where(SyncJob.state == _Job.RUNNING)
    statement = (
        select(SyncJob, Artifact)
        .join(Artifact, col(SyncJob.artifact_id) == Artifact.id)
        .where(SyncJob.state == _Job.PENDING, col(SyncJob.artifact_id).not_in(running))
        .where(~is_held(session, col(Artifact.emptied_under)))
        .order_by(case((col(SyncJob.trigger) == _Job.SCHEDULE, 1), else_=0), col(SyncJob.id))
        .limit(limit)
    )
    for host in busy_hosts:
        statement = statement.where(~col(Artifact.upstream).startswith(f"{host}/", autoescape=True))
    found = (await session.exec(statement)).all()
    return [
        Waiting(
            job_id=saved_id(job),
            artifact_id=job.artifact_id,
            artifact_uid=artifact.uid,
            fence=artifact.sync_fence,
            host=artifact.upstream.partition("/")[0],
            scheduled=job.trigger == _Job.SCHEDULE,
        )
        for job, artifact in found
    ]


async def claim(
    session: AsyncSession, item: Waiting, lease: Lease, lasting: timedelta, now: datetime
) -> tuple[SyncJob, Artifact] | None:
    """Make a waiting job a running one, under a lock that is held.

    Gives it with its artifact, whose fence is that of the lock from now on; None where there is nothing
    to run, or where the lock is older than another one that was used already.
    """
    this = col(Artifact.id) == item.artifact_id
    if not await lock(session, col(Artifact.id), Hold.CHANGES, this, col(Artifact.sync_fence) < lease.fence):
        return None
    running = await session.exec(
        select(SyncJob.id).where(SyncJob.artifact_id == item.artifact_id, SyncJob.state == _Job.RUNNING)
    )
    emptied = await session.exec(
        select(Artifact.id).where(this, is_held(session, col(Artifact.emptied_under)))
    )
    if running.first() is not None or emptied.first() is not None:
        return None
    claimed = await session.exec(
        update(SyncJob)
        .where(col(SyncJob.id) == item.job_id, col(SyncJob.state) == _Job.PENDING)
        .values(
            state=_Job.RUNNING,
            start_time=now,
            owner=lease.token,
            fence=lease.fence,
            lease_until=milliseconds(session) + lasting // timedelta(milliseconds=1),
        )
    )
    if not claimed.rowcount:
        return None
    # Only now: whoever runs under an older lock is not to be broken off for nothing.
    await session.exec(update(Artifact).where(this).values(sync_fence=lease.fence, emptied_under=""))
    found = await session.exec(
        select(SyncJob, Artifact)
        .join(Artifact, col(SyncJob.artifact_id) == Artifact.id)
        .where(SyncJob.id == item.job_id)
    )
    return found.one()


async def finish(
    session: AsyncSession,
    job: SyncJob,
    artifact: Artifact,
    state: int,
    error: str,
    tally: Tally,
    now: datetime,
) -> bool:
    """End a job that was claimed, and say at the artifact how its sync went.

    False where somebody else ended it; an artifact that has another upstream by now is left as it is.
    """
    await lock(session, col(Artifact.id), Hold.CHANGES, col(Artifact.id) == artifact.id)
    ended = await session.exec(
        update(SyncJob)
        .where(
            col(SyncJob.id) == job.id,
            col(SyncJob.owner) == job.owner,
            col(SyncJob.state) == _Job.RUNNING,
        )
        .values(state=state, error=error, end_time=now, **tally.columns())
    )
    if not ended.rowcount:
        return False
    outcome = {"last_sync_error": error} | ({"last_sync_time": now} if state == _Job.SUCCEEDED else {})
    await session.exec(
        update(Artifact)
        .where(
            col(Artifact.id) == artifact.id,
            col(Artifact.sync_fence) == artifact.sync_fence,
            col(Artifact.upstream) == artifact.upstream,
            col(Artifact.plain_http) == artifact.plain_http,
        )
        .values(**outcome)
    )
    return True


def end(job: SyncJob, error: str, now: datetime) -> None:
    """Make a job one that failed, from outside."""
    job.state, job.error, job.end_time = _Job.FAILED, error, now


def new_job(
    artifact_id: int, trigger: int, requested_by: str, now: datetime, force_removals: bool
) -> SyncJob:
    """Make a job that waits."""
    return SyncJob(
        uid=new_uid(),
        artifact_id=artifact_id,
        state=_Job.PENDING,
        trigger=trigger,
        requested_by=requested_by,
        create_time=now,
        force_removals=force_removals,
    )
