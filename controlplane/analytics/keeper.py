"""Keeps the tables of pulls as long as they are to be, and has the next months ready."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, text
from sqlmodel import SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.analytics import partitions
from controlplane.analytics.sums import LENGTH, PERSONAL, SHAPES
from controlplane.analytics.times import DAY, HOUR, Month, milliseconds
from controlplane.model import sweep
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.portions import delete_some
from controlplane.model.pull_tables import Grain, NameKind, PullName, PullRecord, PullSum
from controlplane.model.tables import Organization

_LOG = logging.getLogger(__name__)

# Seconds between two looks.
_PAUSE: Final = 3600.0
# Rows of one transaction: nobody else writes to SQLite meanwhile.
_BATCH: Final = 5000
_MONTHS_AHEAD: Final = timedelta(days=62)
# Rows of each index that SQLite looks at to know which one is worth using.
_ANALYSED: Final = 1000
# What the sums that stay longest tell apart.
_SUMMED: Final = frozenset((NameKind.ARTIFACT, NameKind.TAG, NameKind.CUSTOMER))
# After all times, in milliseconds since 1970; and in buckets within 32 bits.
_ALL: Final = (1 << 31) * HOUR - 1


class Keeper:
    """One of each replica; what two do at once does no harm."""

    def __init__(
        self,
        database: Database,
        *,
        events: timedelta,
        sums: timedelta,
        now: Callable[[], datetime],
    ) -> None:
        """Keep events, and the sums of hours and people, for `events`; the other sums for `sums`."""
        self._database = database
        self._events = events
        self._sums = max(sums, events)
        self._now = now
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look now, and then each hour."""
        self._task = asyncio.create_task(self._keeping(), name="pulls-keeper")

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keeping(self) -> None:
        while True:
            try:
                await self.tidy()
            except DatabaseUnavailable as error:
                _LOG.warning("Old pulls are not deleted now: %s", error)
            except Exception:  # noqa: BLE001 - what is wrong now may be right in an hour
                _LOG.exception("Old pulls could not be deleted.")
            await asyncio.sleep(_PAUSE)

    async def tidy(self) -> None:
        """Make the tables of the next months, delete what is too old, and tell the database's planner."""
        now = self._now()
        await self._prepare(now)
        async with self._database.write() as session:
            time = await sweep.look(session, now)
        events, sums = milliseconds(time - self._events), milliseconds(time - self._sums)
        await self._drop_months(events)
        async with self._database.read() as session:
            alive = set(await session.exec(select(Organization.id)))
            owners = await _owners(session)
        for owner in owners:
            # Nobody can see the pulls of an organization that is gone.
            await self._forget(owner, *((events, sums) if owner in alive else (_ALL, _ALL)))
        async with self._database.write() as session:
            if not _is_postgresql(session):
                connection = await session.connection()
                await connection.execute(text(f"PRAGMA analysis_limit={_ANALYSED}"))
                await connection.execute(text("PRAGMA optimize"))

    async def _forget(self, owner: int, events: int, sums: int) -> None:
        """Delete what an organization has of before these times, in milliseconds since 1970."""
        mine = col(PullRecord.organization_id) == owner
        await self._delete(PullRecord, mine & (col(PullRecord.time) < events))
        mine = col(PullSum.organization_id) == owner
        for grain, shapes in SHAPES.items():
            for shape in shapes:
                before = events if grain is Grain.HOUR or shape in PERSONAL else sums
                series = mine & (col(PullSum.grain) == grain) & (col(PullSum.shape) == shape)
                await self._delete(PullSum, series & (col(PullSum.bucket) < before // LENGTH[grain]))
        # Addresses and User-Agents are as many as clients please, and nothing else refers to them.
        for kind in NameKind:
            before = sums if kind in _SUMMED else events
            mine = (col(PullName.organization_id) == owner) & (col(PullName.kind) == kind)
            await self._delete(PullName, mine & (col(PullName.last_day) < before // DAY))

    async def _prepare(self, now: datetime) -> None:
        async with self._database.write() as session:
            if _is_postgresql(session):
                await partitions.hurry(session)
                first, last = Month.of(milliseconds(now)), Month.of(milliseconds(now + _MONTHS_AHEAD))
                await partitions.make(session, first.until(last))

    async def _drop_months(self, before: int) -> None:
        dropped: list[Month] = []
        async with self._database.write() as session:
            if _is_postgresql(session):
                await partitions.hurry(session)
                dropped = await partitions.drop(session, before)
        for month in dropped:
            _LOG.info("The pulls of %s are deleted: they are older than what is kept.", month)

    async def _delete(self, table: type[SQLModel], which: ColumnElement[bool]) -> None:
        deleted = _BATCH
        while deleted == _BATCH:
            async with self._database.write() as session:
                deleted = await delete_some(session, table, which, _BATCH)


async def _owners(session: AsyncSession) -> list[int]:
    """Give the organizations that have names here, each found by one look at an index."""
    owners: list[int] = []
    while True:
        after = owners[-1] if owners else -1
        smallest = select(func.min(PullName.organization_id)).where(col(PullName.organization_id) > after)
        found = (await session.exec(smallest)).one()
        if found is None:
            return owners
        owners.append(found)


def _is_postgresql(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "postgresql"
