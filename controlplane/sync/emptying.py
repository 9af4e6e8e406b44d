"""Keeps runs off artifacts that somebody empties, for as long as whoever does it is heard of."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.identifiers import new_uid
from controlplane.sync import jobs
from controlplane.sync.beating import beating
from controlplane.sync.lease_rows import LeaseRows, is_held
from controlplane.sync.locks import Lease, LocksUnavailable
from penstock.v1 import artifact_pb2

_LOG = logging.getLogger(__name__)


def is_emptied(session: AsyncSession) -> ColumnElement[bool]:
    """Give the SQL that tells of an artifact whether somebody empties it now."""
    return is_held(session, col(Artifact.emptied_under))


@dataclass(frozen=True, slots=True)
class Emptying:
    """One change that empties artifacts: `name` is of the lease that says that it goes on.

    The lease is a row also where there is Redis, as it has to be seen with the artifact. `requested_by` is
    whose change it is; `now` is the time of day in UTC.
    """

    name: str
    requested_by: str
    now: Callable[[], datetime]

    async def take(self, session: AsyncSession, artifact_id: int) -> None:
        """End the run over an artifact, and have none begin; the transaction has locked the artifact.

        A sync waits from then on, which brings back what is dropped: it goes with the artifact, or begins
        when the lease is over. To be called in each transaction that drops something: whoever had the
        artifact before may give it back, and who was not heard of for long enough has lost it to a run.
        """
        held = select(Artifact.id).where(Artifact.id == artifact_id, is_emptied(session))
        if (await session.exec(held)).first() is not None:
            return
        trigger = artifact_pb2.SyncJob.UPSTREAM_CHANGE
        await jobs.join_or_create(session, artifact_id, trigger, self.requested_by, self.now())
        await session.exec(
            update(Artifact)
            .where(col(Artifact.id) == artifact_id)
            # What the run that was ended still holds in memory is not to be written.
            .values(emptied_under=self.name, sync_fence=col(Artifact.sync_fence) + 1)
        )


@asynccontextmanager
async def emptying(
    database: Database, requested_by: str, *, lasting: timedelta, now: Callable[[], datetime]
) -> AsyncIterator[Emptying]:
    """Keep runs off what is taken in the block, until it ends or is not heard of for `lasting`.

    Raises DatabaseUnavailable.
    """
    locks = LeaseRows(database)
    lease = await _acquire(locks, lasting)
    beat = partial(_beat, locks, lease, lasting)
    beats = asyncio.create_task(beating(lasting, beat), name="emptying-beat")
    try:
        yield Emptying(lease.name, requested_by, now)
    finally:
        beats.cancel()
        await asyncio.gather(beats, return_exceptions=True)
        with suppress(LocksUnavailable):
            await locks.release(lease)


async def _acquire(locks: LeaseRows, lasting: timedelta) -> Lease:
    try:
        lease = await locks.acquire(f"emptying {new_uid()}", new_uid(), lasting, above=0)
    except LocksUnavailable as error:
        raise DatabaseUnavailable(str(error)) from error
    if lease is None:
        raise DatabaseUnavailable("A lease that nobody else knows of could not be taken.")
    return lease


async def _beat(locks: LeaseRows, lease: Lease, lasting: timedelta) -> None:
    try:
        await locks.renew(lease, lasting)
    except LocksUnavailable as error:
        _LOG.warning("Runs may begin over artifacts that are being emptied: %s", error)
