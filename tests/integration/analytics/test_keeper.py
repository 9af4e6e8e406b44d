"""How long pulls are kept, and months that are ready before they begin."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import col, delete, func, select, update

from controlplane.analytics import partitions
from controlplane.analytics.keeper import Keeper
from controlplane.analytics.sums import PERSONAL
from controlplane.analytics.times import DAY, Month, milliseconds
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.pull_tables import Grain, NameKind, PullName, PullRecord, PullSum
from controlplane.model.tables import Singleton
from tests.fakes.pulls import KEPT, Vendor
from tests.fakes.rows import NOW
from tests.fakes.waiting import until

_YEAR = timedelta(days=365)


def _keeper(database: Database, later: timedelta) -> Keeper:
    return Keeper(database, events=KEPT, sums=_YEAR, now=lambda: NOW + later)


async def _tidy(database: Database, later: timedelta) -> None:
    """Look, an hour after somebody else did."""
    async with database.write() as session:
        before = NOW + later - timedelta(hours=1)
        await session.exec(update(Singleton).values({col(Singleton.pulls_swept_time): before}))
    await _keeper(database, later).tidy()


async def _count(vendor: Vendor, table: type[PullRecord | PullSum | PullName], **fields: int) -> int:
    wanted = {"organization_id": vendor.organization.id, **fields}
    statement = select(func.count()).select_from(table).filter_by(**wanted)
    async with vendor.database.read() as session:
        return (await session.exec(statement)).one()


async def test_old_pulls_go_and_their_sums_stay_longer(vendor: Vendor) -> None:
    """Events and hours go after ninety days, days after a year, names with the last that has them."""
    await vendor.report(vendor.pull("hank"), vendor.pull("bill", tag="2.0"))
    days = await _count(vendor, PullSum, grain=Grain.DAY)

    await _tidy(vendor.database, KEPT - timedelta(days=1))
    assert await _count(vendor, PullRecord) == 2

    await _tidy(vendor.database, KEPT + timedelta(days=1))
    assert await _count(vendor, PullRecord) == 0
    assert await _count(vendor, PullSum, grain=Grain.HOUR) == 0
    # Of people only as long as of events: two sums of each such series.
    assert await _count(vendor, PullSum, grain=Grain.DAY) == days - 2 * len(PERSONAL)
    for shape in PERSONAL:
        assert await _count(vendor, PullSum, shape=shape) == 0
    # Of names those that the other sums tell apart: an artifact, two tags, two customers.
    assert await _count(vendor, PullName) == 5

    await _tidy(vendor.database, _YEAR + timedelta(days=2))
    assert await _count(vendor, PullSum) == 0
    assert await _count(vendor, PullName) == 0


async def test_a_clock_that_is_far_ahead_deletes_next_to_nothing(
    vendor: Vendor, caplog: pytest.LogCaptureFixture
) -> None:
    """Only what would have gone in the next days anyway; the operator is told, and has days to act."""
    await _tidy(vendor.database, timedelta())
    await vendor.report(vendor.pull(at=NOW - timedelta(days=89)), vendor.pull(at=NOW - timedelta(days=80)))
    await vendor.report(vendor.pull())
    # Of a node on the same machine.
    await vendor.report(vendor.pull(at=NOW + 70 * _YEAR), now=NOW + 70 * _YEAR)

    for _ in range(24):
        await _keeper(vendor.database, 70 * _YEAR).tidy()
    assert "If the clock is wrong" in caplog.text
    assert await _count(vendor, PullRecord) == 3

    # Nodes have the right time: they would not report again what is refused.
    await vendor.report(vendor.pull(), now=NOW + 70 * _YEAR)
    assert vendor.counts.refused_events == 0

    caplog.clear()
    await _keeper(vendor.database, timedelta()).tidy()
    assert not caplog.text
    assert await _count(vendor, PullRecord) == 4


async def test_what_nobody_looked_at_for_years_goes_two_hours_an_hour(vendor: Vendor) -> None:
    """It may be that nothing ran for so long: what is too old goes all the same, in time."""
    await _tidy(vendor.database, timedelta())
    await vendor.report(vendor.pull(at=NOW - KEPT + timedelta(hours=7)), vendor.pull())
    left = []
    for _ in range(6):
        await _keeper(vendor.database, 3 * _YEAR).tidy()
        left.append(await _count(vendor, PullRecord))
    assert left == [2, 2, 2, 1, 1, 1]


async def test_months_are_made_ahead_and_dropped_whole(vendor: Vendor) -> None:
    """On PostgreSQL the next two months are ready, one that is too old is no table any more."""
    await vendor.report(vendor.pull(at=NOW - timedelta(days=40)))
    await _tidy(vendor.database, timedelta())
    async with vendor.database.read() as session:
        if session.get_bind().dialect.name == "sqlite":
            return
        made = await partitions.months(session)
    this_month = Month.of(milliseconds(NOW))
    old = Month.of(milliseconds(NOW - timedelta(days=40)))
    assert {old, this_month, this_month.next, this_month.next.next} <= set(made)

    await _tidy(vendor.database, KEPT)
    async with vendor.database.read() as session:
        made = await partitions.months(session)
    assert old not in made
    assert this_month in made


async def test_a_month_that_somebody_reads_is_dropped_later(vendor: Vendor) -> None:
    """As for a backup, which takes hours: reports of pulls would wait behind whoever waits for it."""
    await vendor.report(vendor.pull(at=NOW - timedelta(days=10)))
    # All others are made by then.
    await _tidy(vendor.database, KEPT - timedelta(days=2))
    async with vendor.database.read() as reading:
        if reading.get_bind().dialect.name == "sqlite":
            return
        assert (await reading.exec(select(PullRecord))).all() == []
        sweep = asyncio.create_task(_tidy(vendor.database, KEPT))
        await _waits(vendor.database, sweep)
        await vendor.report(vendor.pull(at=NOW + KEPT), now=NOW + KEPT)
        # It goes on all the same.
        assert (await reading.exec(select(PullRecord))).all() == []
        with pytest.raises(DatabaseUnavailable):
            await sweep

    await _tidy(vendor.database, KEPT)
    assert await _count(vendor, PullRecord) == 1


async def test_what_an_organization_leaves_behind_goes_with_it(vendor: Vendor) -> None:
    """When it was deleted, nobody could see its pulls any more."""
    await vendor.report(vendor.pull())
    async with vendor.database.write() as session:
        await session.delete(vendor.organization)
    await _tidy(vendor.database, timedelta())
    assert [await _count(vendor, table) for table in (PullRecord, PullSum, PullName)] == [0, 0, 0]


async def _waits(database: Database, task: asyncio.Task[None]) -> None:
    """Return when the task waits for a row that somebody holds, or has left that and is done."""

    async def waiting() -> bool:
        async with database.read() as session:
            if session.get_bind().dialect.name == "sqlite":
                # It has one writer at a time: there is nothing else to wait for.
                return True
            held = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return task.done() or bool((await (await session.connection()).execute(held)).scalar_one())

    await until(waiting)


async def test_a_name_that_is_pulled_again_while_old_ones_go_stays(vendor: Vendor) -> None:
    """The pull is about to be stored when the sweep comes by."""
    await vendor.report(vendor.pull())
    later = NOW + KEPT + timedelta(days=2)
    async with vendor.database.write() as session:
        day = milliseconds(later) // DAY
        await session.exec(
            update(PullName).where(col(PullName.kind) == NameKind.ADDRESS).values(last_day=day)
        )
        sweep = asyncio.create_task(_tidy(vendor.database, later - NOW))
        await _waits(vendor.database, sweep)
    await sweep
    assert await _count(vendor, PullName, kind=NameKind.ADDRESS) == 1
    assert await _count(vendor, PullName, kind=NameKind.CLIENT) == 0


async def test_a_name_that_goes_while_it_is_pulled_again_comes_back(vendor: Vendor) -> None:
    """The pull has found its number already, and waits for the sweep: the event must not be left without."""
    await vendor.report(vendor.pull())
    later = NOW + KEPT + timedelta(days=2)
    async with vendor.database.write() as session:
        await session.exec(delete(PullName))
        report = asyncio.create_task(vendor.report(vendor.pull(at=later), now=later))
        await _waits(vendor.database, report)
    await report
    async with vendor.database.read() as session:
        newest = select(PullRecord).order_by(col(PullRecord.time).desc()).limit(1)
        stored = (await session.exec(newest)).one()
        numbers = set(await session.exec(select(PullName.id)))
    assert {stored.artifact_id, stored.tag_id, stored.address_id, stored.client_id} <= numbers
