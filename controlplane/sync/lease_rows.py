"""Locks in the database, for an installation without Redis."""

from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, case
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.model.clock import milliseconds
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.sync_tables import SyncLease
from controlplane.sync.locks import Lease, LocksUnavailable

_FREE: Final = ""


class LeaseRows:
    """Locks as rows, by the clock of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acquire(self, name: str, token: str, lasting: timedelta, *, above: int) -> Lease | None:
        """Take a lock, as `Locks` says."""
        try:
            async with self._database.write() as session:
                fence = await _acquire(session, name, token, lasting, above)
        except DatabaseUnavailable as error:
            raise _unavailable(error) from error
        return None if fence is None else Lease(name, token, fence)

    async def renew(self, lease: Lease, lasting: timedelta) -> bool:
        """Hold a lock for some time from now, as `Locks` says."""
        try:
            async with self._database.write() as session:
                renewed = await session.exec(
                    update(SyncLease)
                    .where(
                        col(SyncLease.name) == lease.name,
                        col(SyncLease.token) == lease.token,
                        col(SyncLease.fence) == lease.fence,
                    )
                    .values(expires_at=milliseconds(session) + lasting // timedelta(milliseconds=1))
                )
        except DatabaseUnavailable as error:
            raise _unavailable(error) from error
        return bool(renewed.rowcount)

    async def release(self, lease: Lease) -> None:
        """Give a lock back, as `Locks` says."""
        try:
            async with self._database.write() as session:
                await session.exec(
                    update(SyncLease)
                    .where(col(SyncLease.name) == lease.name, col(SyncLease.token) == lease.token)
                    .values(token=_FREE, expires_at=0)
                )
        except DatabaseUnavailable as error:
            raise _unavailable(error) from error

    async def check(self) -> None:
        """Nothing: whoever wants a lock needs the database for more than that, and hears of it there."""

    async def close(self) -> None:
        """Nothing: the database is not this object's."""


async def _acquire(
    session: AsyncSession, name: str, token: str, lasting: timedelta, above: int
) -> int | None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    now = milliseconds(session)
    expires_at = now + lasting // timedelta(milliseconds=1)
    mine = col(SyncLease.token) == token
    higher = case((col(SyncLease.fence) > above, col(SyncLease.fence)), else_=above) + 1
    kept = mine & (col(SyncLease.fence) > above)
    statement = (
        insert(SyncLease)
        .values(name=name, token=token, fence=above + 1, expires_at=expires_at)
        .on_conflict_do_update(
            index_elements=["name"],
            set_={
                "token": token,
                "fence": case((kept, col(SyncLease.fence)), else_=higher),
                "expires_at": expires_at,
            },
            where=mine | (col(SyncLease.expires_at) <= now),
        )
        .returning(col(SyncLease.fence))
    )
    taken = await session.exec(statement)
    return taken.scalar_one_or_none()


def is_held(session: AsyncSession, name: Mapped[str]) -> ColumnElement[bool]:
    """Give the SQL that tells whether somebody holds the lock of a name, at the moment of the statement."""
    return (
        select(SyncLease.name)
        .where(col(SyncLease.name) == name, col(SyncLease.expires_at) > milliseconds(session))
        .exists()
    )


def _unavailable(error: DatabaseUnavailable) -> LocksUnavailable:
    return LocksUnavailable(str(error))
