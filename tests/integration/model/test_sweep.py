"""What is deleted for its age, by a clock that is wrong."""

from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlmodel import SQLModel, col, func, insert, select, update

from controlplane.analytics.keeper import Keeper
from controlplane.api.audits import AuditServicer
from controlplane.api.uses import Refusals, Uses
from controlplane.model.access_tables import AuditRecord, RefusedSignIn
from controlplane.model.artifact_tables import TagRevision
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.model.tables import Singleton
from controlplane.sync.lease_rows import LeaseRows
from controlplane.sync.limits import Limits
from controlplane.sync.lock_health import LockHealth
from controlplane.sync.measures import SyncMeasures
from controlplane.sync.schedule import Schedule
from controlplane.sync.ticker import Ticker
from tests.fakes.claims import add_running
from tests.fakes.rows import BOTH_DATABASES, NOW, add_artifact

pytestmark = BOTH_DATABASES

_DAY = timedelta(days=1)
# Deleted two days later, all of it.
_KEPT = timedelta(days=30)
_OLD = NOW - timedelta(days=28)
_TABLES: tuple[type[SQLModel], ...] = (TagRevision, SyncJob, RefusedSignIn, AuditRecord)


async def _fill(database: Database) -> None:
    """Writes what is old, one of each kind, and of jobs another one, which is the last of its artifact."""
    artifact = await add_artifact(database, "example.com/app")
    async with database.write() as session:
        for owner in ("old", "last"):
            await add_running(session, artifact, owner)
            await session.flush()
        await session.exec(update(SyncJob).values(state=4, end_time=_OLD))
        revision = {"name": "1.0", "digest": "", "start_time": _OLD, "end_time": _OLD}
        await session.exec(insert(TagRevision), params=[revision | {"artifact_id": saved_id(artifact)}])
        refusal = {"address": "192.0.2.1", "token_uid": "", "count": 1, "first_time": _OLD, "last_time": _OLD}
        await session.exec(insert(RefusedSignIn), params=[refusal])
        texts = dict.fromkeys(("email", "user_uid", "token_uid", "address", "method", "resource"), "")
        session.add(AuditRecord(uid="old", time=_OLD, change={}, **texts))


async def _sweep(database: Database, now: datetime) -> None:
    """Has everybody look who deletes by age."""
    await Keeper(database, events=_KEPT, sums=_KEPT, now=lambda: now).tidy()
    await AuditServicer(database, _KEPT, lambda: now).tidy()
    uses = Uses(database, CollectorRegistry(), lambda: now)
    await uses.save([], [Refusals("192.0.2.2", "", 1, now)])
    measures = SyncMeasures(CollectorRegistry())
    await Ticker(
        database,
        LockHealth(LeaseRows(database), measures),
        schedule=Schedule("", UTC),
        limits=Limits(retention=_KEPT, tag_history=_KEPT),
        now=lambda: now,
        wake=lambda: None,
    ).tidy()


async def _left(database: Database) -> list[int]:
    async with database.read() as session:
        return [
            (await session.exec(select(func.count()).select_from(table).where(_is_old(table)))).one()
            for table in _TABLES
        ]


def _is_old(table: type[SQLModel]) -> object:
    name = {TagRevision: "end_time", SyncJob: "end_time", RefusedSignIn: "last_time", AuditRecord: "time"}
    return col(getattr(table, name[table])) == _OLD


@pytest.mark.parametrize(
    ("looked", "left"),
    [(NOW + 50 * _DAY, [0, 1, 0, 0]), (NOW - 3 * _DAY, [0, 1, 0, 0]), (NOW - 10 * _DAY, [1, 2, 1, 1])],
    ids=["set back", "off for days", "off for long"],
)
async def test_a_clock_is_believed_a_week(database: Database, looked: datetime, left: list[int]) -> None:
    """Whoever deletes goes by one rule: beyond a week after the last look, nothing is too old."""
    await _fill(database)
    async with database.write() as session:
        await session.exec(update(Singleton).values({col(Singleton.pulls_swept_time): looked}))
    await _sweep(database, NOW + 3 * _DAY)
    assert await _left(database) == left


async def test_a_clock_that_is_years_ahead(database: Database) -> None:
    """A day of it takes a day more than a right one: what is two days from its end is left."""
    await _sweep(database, NOW - _DAY)
    await _fill(database)
    for _ in range(24):
        await _sweep(database, NOW + timedelta(days=9999))
    assert await _left(database) == [1, 2, 1, 1]


@pytest.mark.parametrize(("year", "first"), [(1970, False), (1970, True), (2028, False)])
async def test_a_clock_that_was_years_behind_for_a_moment(database: Database, year: int, first: bool) -> None:
    """As of a machine that starts before it knows the time: nothing goes by it, and all goes afterwards."""
    if not first:
        await _sweep(database, NOW - _DAY)
    await _fill(database)
    await _sweep(database, datetime(year, 1, 1, tzinfo=UTC))
    assert await _left(database) == [1, 2, 1, 1]
    await _sweep(database, NOW + 3 * _DAY)
    assert await _left(database) == [0, 1, 0, 0]


async def test_a_right_clock_beside_one_that_is_years_ahead(database: Database) -> None:
    """Two replicas look in turn: what the wrong one gets on by, the right one takes back."""
    await _sweep(database, NOW - _DAY)
    await _fill(database)
    for hours in range(48):
        await _sweep(database, NOW + timedelta(days=9999))
        await _sweep(database, NOW - _DAY + timedelta(hours=hours))
    assert await _left(database) == [1, 2, 1, 1]
