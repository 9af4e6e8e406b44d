"""The rows of sync jobs: asked for, claimed, ended, and found again after a restart."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.catalog.unknown import Unknown, UnknownReason
from controlplane.model.naming import new_uid
from controlplane.model.tables import Artifact, SyncJob
from controlplane.sync.tally import Tally
from penstock.v1 import artifact_pb2

_Job = artifact_pb2.SyncJob
_INTERRUPTED = "The control plane stopped while this ran; another run takes it up."


async def join_or_create(
    session: AsyncSession, artifact_id: int, trigger: int, requested_by: str, now: datetime
) -> tuple[SyncJob, SyncJob | None]:
    """Give the job that answers a request, and the running one that it supersedes.

    That is one that waits or runs already, if there is one; a run over the upstream that the artifact
    had before does not answer for a new one. Raises Unknown where the artifact is gone.
    """
    # Two requests at once must not make two jobs.
    locked = await session.exec(select(Artifact.id).where(Artifact.id == artifact_id).with_for_update())
    if locked.first() is None:
        raise Unknown(UnknownReason.ARTIFACT, "There is no such artifact.")
    found = await session.exec(
        select(SyncJob).where(
            SyncJob.artifact_id == artifact_id, col(SyncJob.state).in_((_Job.PENDING, _Job.RUNNING))
        )
    )
    by_state = {job.state: job for job in found}
    waiting, running = by_state.get(_Job.PENDING), by_state.get(_Job.RUNNING)
    superseded = running if trigger == _Job.UPSTREAM_CHANGE else None
    if waiting is not None:
        return waiting, superseded
    if running is not None and superseded is None:
        return running, None
    created = _job(artifact_id, trigger, requested_by, now)
    session.add(created)
    await session.flush()
    return created, superseded


async def claim(session: AsyncSession, job_id: int, now: datetime) -> Artifact | None:
    """Make a waiting job a running one, and give its artifact; None where there is nothing to run."""
    claimed = await session.exec(
        update(SyncJob)
        .where(col(SyncJob.id) == job_id, col(SyncJob.state) == _Job.PENDING)
        .values(state=_Job.RUNNING, start_time=now)
    )
    if not claimed.rowcount:
        return None
    artifacts = await session.exec(
        select(Artifact).join(SyncJob, col(SyncJob.artifact_id) == Artifact.id).where(SyncJob.id == job_id)
    )
    return artifacts.one()


async def finish(
    session: AsyncSession,
    job_id: int,
    artifact: Artifact,
    state: int,
    error: str,
    tally: Tally,
    now: datetime,
) -> None:
    """End a job, and say at the artifact how its sync went, unless that has another upstream by now."""
    await session.exec(
        update(SyncJob)
        .where(col(SyncJob.id) == job_id)
        .values(state=state, error=error, end_time=now, **asdict(tally))
    )
    outcome = {"last_sync_error": error} | ({"last_sync_time": now} if state == _Job.SUCCEEDED else {})
    await session.exec(
        update(Artifact)
        .where(
            col(Artifact.id) == artifact.id,
            col(Artifact.upstream) == artifact.upstream,
            col(Artifact.plain_http) == artifact.plain_http,
        )
        .values(**outcome)
    )


async def recover(session: AsyncSession, now: datetime) -> Sequence[SyncJob]:
    """End the jobs that were running when the process stopped, and give those that wait, oldest first.

    Each that was interrupted has a successor among these, by the same trigger. For one process on the
    database: it takes every running job for an interrupted one.
    """
    jobs = await session.exec(
        select(SyncJob).where(col(SyncJob.state).in_((_Job.PENDING, _Job.RUNNING))).order_by(col(SyncJob.id))
    )
    unfinished = jobs.all()
    waiting = [job for job in unfinished if job.state == _Job.PENDING]
    for job in unfinished:
        if job.state != _Job.RUNNING:
            continue
        job.state, job.error, job.end_time = _Job.FAILED, _INTERRUPTED, now
        session.add(job)
        if all(other.artifact_id != job.artifact_id for other in waiting):
            successor = _job(job.artifact_id, job.trigger, job.requested_by, now)
            session.add(successor)
            waiting.append(successor)
    await session.flush()
    return waiting


def _job(artifact_id: int, trigger: int, requested_by: str, now: datetime) -> SyncJob:
    return SyncJob(
        uid=new_uid(),
        artifact_id=artifact_id,
        state=_Job.PENDING,
        trigger=trigger,
        requested_by=requested_by,
        create_time=now,
    )
