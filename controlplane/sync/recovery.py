"""What becomes of sync jobs whose run is not heard of any more, and of those that are long over."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from controlplane.model.artifact_tables import Artifact
from controlplane.model.clock import milliseconds
from controlplane.model.locks import Hold, lock
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
    which = (col(SyncJob.owner).in_(owners), col(SyncJob.state) == _Job.RUNNING)
    await lock(session, col(Artifact.id), Hold.STAYS, col(Artifact.id).in_(_artifacts(*which)))
    alive = await session.exec(
        update(SyncJob)
        .where(*which)
        .values(lease_until=milliseconds(session) + lasting // timedelta(milliseconds=1))
        .returning(col(SyncJob.owner))
        .execution_options(synchronize_session=False)
    )
    return set(alive.scalars())


async def waits(session: AsyncSession) -> bool:
    """Tell whether any job runs, as the table has it, whose control plane is not heard of."""
    found = await session.exec(
        select(SyncJob.id)
        .where(col(SyncJob.state) == _Job.RUNNING, col(SyncJob.lease_until) <= milliseconds(session))
        .limit(1)
    )
    return found.first() is not None


async def recover(session: AsyncSession, now: datetime) -> Sequence[SyncJob]:
    """End the jobs that are not heard of, and give the jobs that take them up, by the same triggers."""
    lost = (col(SyncJob.state) == _Job.RUNNING, col(SyncJob.lease_until) <= milliseconds(session))
    return await _take_up(session, await _locked(session, *lost, most=BATCH), LOST, now)


async def give_up(
    session: AsyncSession, owners: Collection[str], error: str, now: datetime
) -> Sequence[SyncJob]:
    """End the jobs of these owners that still run, and give the jobs that take them up."""
    theirs = (col(SyncJob.owner).in_(owners), col(SyncJob.state) == _Job.RUNNING)
    return await _take_up(session, await _locked(session, *theirs), error, now)


async def take_back(session: AsyncSession, instance: str, now: datetime) -> Sequence[SyncJob]:
    """End the jobs that a former process of this instance ran, and give the jobs that take them up.

    Its lease rows are free then; locks in Redis expire.
    """
    await session.exec(
        update(SyncLease)
        .where(col(SyncLease.token).startswith(f"{instance}.", autoescape=True))
        .values(expires_at=0)
    )
    its = (col(SyncJob.state) == _Job.RUNNING, col(SyncJob.owner).startswith(f"{instance}.", autoescape=True))
    return await _take_up(session, await _locked(session, *its), STOPPED, now)


async def forget(session: AsyncSession, before: datetime) -> int:
    """Delete some of the jobs that ended before a moment, and leases that nobody holds; gives how many jobs.

    The last job of each artifact stays, however old.
    """
    await session.exec(
        delete(SyncLease).where(col(SyncLease.expires_at) < milliseconds(session) - _LEASE_STAYS)
    )
    newer = select(SyncJob).subquery()
    found = await session.exec(
        select(SyncJob.id, SyncJob.artifact_id)
        .where(
            col(SyncJob.end_time) < before,
            select(newer.c.id)
            .where(newer.c.artifact_id == SyncJob.artifact_id, newer.c.id > SyncJob.id)
            .exists(),
        )
        .limit(BATCH)
    )
    old = dict(found.all())
    # Whoever deletes them takes their jobs in an order that is the database's.
    await lock(session, col(Artifact.id), Hold.STAYS, col(Artifact.id).in_(set(old.values())))
    deleted = await session.exec(delete(SyncJob).where(col(SyncJob.id).in_(old)))
    return deleted.rowcount


def _artifacts(*which: ColumnElement[bool], most: int | None = None) -> SelectOfScalar[int]:
    return select(SyncJob.artifact_id).where(*which).order_by(col(SyncJob.id)).limit(most)


async def _locked(
    session: AsyncSession, *which: ColumnElement[bool], most: int | None = None
) -> Sequence[SyncJob]:
    """Lock jobs that are to be taken up, and before them their artifacts, which get other jobs.

    With `most`, no more than so many, and none of artifacts that would have to be waited for: the next look
    finds them again.
    """
    artifacts = await lock(
        session,
        col(Artifact.id),
        Hold.CHANGES,
        col(Artifact.id).in_(_artifacts(*which, most=most)),
        skip=most is not None,
    )
    found = await session.exec(
        select(SyncJob)
        .where(*which, col(SyncJob.artifact_id).in_(artifacts))
        .order_by(col(SyncJob.id))
        .with_for_update()
    )
    return found.all()


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
