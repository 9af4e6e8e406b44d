"""Artifacts whose time has come: each gets one job for each period, whichever replica looks first."""

import logging
from datetime import datetime
from typing import Final

from sqlalchemy import case
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.model.artifact_tables import Artifact
from controlplane.model.saved import saved_id
from controlplane.sync import jobs
from controlplane.sync.schedule import Schedule
from penstock.v1 import artifact_pb2

_LOG = logging.getLogger(__name__)

# Artifacts of one transaction: the others may go to other replicas.
BATCH: Final = 100


async def waits(session: AsyncSession, now: datetime) -> bool:
    """Tell whether the time of any artifact has come."""
    found = await session.exec(select(Artifact.id).where(col(Artifact.next_sync_time) <= now).limit(1))
    return found.first() is not None


async def create(session: AsyncSession, schedule: Schedule, now: datetime) -> int:
    """Ask for the sync of artifacts whose time has come, and set their next time; gives how many.

    The rows are locked from the look at them to the commit: no other replica asks for the same
    period. What was missed while nobody looked is one sync, and a sync that waits or runs is this period's.
    """
    found = await session.exec(
        select(Artifact)
        .where(col(Artifact.next_sync_time) <= now)
        .order_by(col(Artifact.next_sync_time))
        .limit(BATCH)
        .with_for_update(skip_locked=True, key_share=True)
    )
    artifacts = found.all()
    for artifact in artifacts:
        due = artifact.next_sync_time
        # The clock of the replica that looked before may be ahead of this one's.
        schedule.plan(artifact, max(now, due or now))
        session.add(artifact)
        _LOG.debug(
            "Sync of artifact %s, %s, was due at %s; the next is at %s.",
            artifact.uid,
            artifact.upstream,
            due,
            artifact.next_sync_time,
        )
    await jobs.join_or_create_all(
        session, [saved_id(artifact) for artifact in artifacts], artifact_pb2.SyncJob.SCHEDULE, "", now
    )
    return len(artifacts)


async def plan(session: AsyncSession, schedule: Schedule, now: datetime) -> int:
    """Set the next time of artifacts for which it was reckoned by another schedule; gives how many."""
    expected = case(
        (col(Artifact.sync_paused), ""),
        (col(Artifact.sync_schedule) != "", col(Artifact.sync_schedule) + f" {schedule.zone}"),
        else_=f"{schedule.expression} {schedule.zone}" if schedule.expression else "",
    )
    found = await session.exec(
        select(Artifact)
        .where(col(Artifact.planned_by) != expected)
        .limit(BATCH)
        .with_for_update(skip_locked=True, key_share=True)
    )
    artifacts = found.all()
    for artifact in artifacts:
        schedule.plan(artifact, now)
        session.add(artifact)
    return len(artifacts)
