"""What becomes of sync jobs whose run is not heard of any more, and of those that are long over."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.model.clock import milliseconds
from controlplane.model.sync_tables import SyncJob, SyncLease
from controlplane.sync.jobs import end, new_job
from penstock.v1 import artifact_pb2

_Job = artifact_pb2.SyncJob

LOST: Final = (
    "This run lost its lock, for the control plane that ran it was not heard of for too long;"
    " another run takes it up."
)
STOPPED: Final = "The control plane stopped while this ran; another run takes it up."
# Rows of one transaction.
BATCH: Final = 500
# Milliseconds that the row of a lock stays when nobody held it since.
_LEASE_STAYS: Final = 24 * 3600 * 1000


async def beat(session: AsyncSession, owners: Collection[str], lasting: timedelta) -> set[str]:
    """Say that these runs go on, and give those that still may."""
    alive = await session.exec(
        update(SyncJob)
        .where(col(SyncJob.owner).in_(owners), col(SyncJob.state) == _Job.RUNNING)
        .values(lease_until=milliseconds(session) + lasting // timedelta(milliseconds=1))
        .returning(col(SyncJob.owner))
        .execution_options(synchronize_session=False)
    )
    return set(alive.scalars())


async def waits(session: AsyncSession) -> bool:
    """Tell whether any job runs, as the table has it, whose control plane is not heard of."""
    found = await session.exec(
        select(SyncJob.id)
        .where(SyncJob.state == _Job.RUNNING, col(SyncJob.lease_until) <= milliseconds(session))
        .limit(1)
    )
    return found.first() is not None


async def recover(session: AsyncSession, now: datetime) -> Sequence[SyncJob]:
    """End the jobs that are not heard of, and give the jobs that take them up, by the same triggers."""
    found = await session.exec(
        select(SyncJob)
        .where(SyncJob.state == _Job.RUNNING, col(SyncJob.lease_until) <= milliseconds(session))
        .order_by(col(SyncJob.id))
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    return await _take_up(session, found.all(), LOST, now)


async def give_up(
    session: AsyncSession, owners: Collection[str], error: str, now: datetime
) -> Sequence[SyncJob]:
    """End the jobs of these owners that still run, and give the jobs that take them up."""
    found = await session.exec(
        select(SyncJob).where(col(SyncJob.owner).in_(owners), SyncJob.state == _Job.RUNNING).with_for_update()
    )
    return await _take_up(session, found.all(), error, now)


async def take_back(session: AsyncSession, instance: str, now: datetime) -> Sequence[SyncJob]:
    """End the jobs that a former process of this instance ran, and give the jobs that take them up.

    Its lease rows are free then; locks in Redis expire.
    """
    await session.exec(
        update(SyncLease)
        .where(col(SyncLease.token).startswith(f"{instance}.", autoescape=True))
        .values(expires_at=0)
    )
    found = await session.exec(
        select(SyncJob)
        .where(SyncJob.state == _Job.RUNNING, col(SyncJob.owner).startswith(f"{instance}.", autoescape=True))
        .with_for_update()
    )
    return await _take_up(session, found.all(), STOPPED, now)


async def forget(session: AsyncSession, before: datetime) -> int:
    """Delete some of the jobs that ended before a moment, and leases that nobody holds; gives how many jobs.

    The last job of each artifact stays, however old.
    """
    await session.exec(
        delete(SyncLease).where(col(SyncLease.expires_at) < milliseconds(session) - _LEASE_STAYS)
    )
    newer = select(SyncJob).subquery()
    old = (
        select(SyncJob.id)
        .where(
            col(SyncJob.end_time) < before,
            select(newer.c.id)
            .where(newer.c.artifact_id == SyncJob.artifact_id, newer.c.id > SyncJob.id)
            .exists(),
        )
        .limit(BATCH)
    )
    deleted = await session.exec(delete(SyncJob).where(col(SyncJob.id).in_(old)))
    return deleted.rowcount


async def _take_up(
    session: AsyncSession, interrupted: Sequence[SyncJob], error: str, now: datetime
) -> Sequence[SyncJob]:
    if not interrupted:
        return []
    found = await session.exec(
        select(SyncJob.artifact_id).where(
            col(SyncJob.artifact_id).in_([job.artifact_id for job in interrupted]),
            SyncJob.state == _Job.PENDING,
        )
    )
    waiting_already = set(found)
    successors = []
    for job in interrupted:
        end(job, error, now)
        session.add(job)
        if job.artifact_id not in waiting_already:
            waiting_already.add(job.artifact_id)
            successors.append(
                new_job(job.artifact_id, job.trigger, job.requested_by, now, job.force_removals)
            )
    session.add_all(successors)
    await session.flush()
    return successors
