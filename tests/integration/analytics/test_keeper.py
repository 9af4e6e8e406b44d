"""How long pulls are kept, and months that are ready before they begin."""

from datetime import timedelta

from sqlmodel import func, select

from controlplane.analytics import partitions
from controlplane.analytics.keeper import Keeper
from controlplane.analytics.sums import PERSONAL
from controlplane.analytics.times import Month, milliseconds
from controlplane.model.database import Database
from controlplane.model.pull_tables import Grain, PullName, PullRecord, PullSum
from tests.fakes.pulls import KEPT, Vendor
from tests.fakes.rows import NOW

_YEAR = timedelta(days=365)


def _keeper(database: Database, later: timedelta) -> Keeper:
    return Keeper(database, events=KEPT, sums=_YEAR, now=lambda: NOW + later)


async def _count(vendor: Vendor, table: type[PullRecord | PullSum | PullName], **fields: int) -> int:
    wanted = {"organization_id": vendor.organization.id, **fields}
    statement = select(func.count()).select_from(table).filter_by(**wanted)
    async with vendor.database.read() as session:
        return (await session.exec(statement)).one()


async def test_old_pulls_go_and_their_sums_stay_longer(vendor: Vendor) -> None:
    """Events and hours go after ninety days, days after a year, names with the last that has them."""
    await vendor.report(vendor.pull("hank"), vendor.pull("bill", tag="2.0"))
    days = await _count(vendor, PullSum, grain=Grain.DAY)

    await _keeper(vendor.database, KEPT - timedelta(days=1)).tidy()
    assert await _count(vendor, PullRecord) == 2

    await _keeper(vendor.database, KEPT + timedelta(days=1)).tidy()
    assert await _count(vendor, PullRecord) == 0
    assert await _count(vendor, PullSum, grain=Grain.HOUR) == 0
    # Of people only as long as of events: two sums of each such series.
    assert await _count(vendor, PullSum, grain=Grain.DAY) == days - 2 * len(PERSONAL)
    for shape in PERSONAL:
        assert await _count(vendor, PullSum, shape=shape) == 0
    # Of names those that the other sums tell apart: an artifact, two tags, two customers.
    assert await _count(vendor, PullName) == 5

    await _keeper(vendor.database, _YEAR + timedelta(days=2)).tidy()
    assert await _count(vendor, PullSum) == 0
    assert await _count(vendor, PullName) == 0


async def test_months_are_made_ahead_and_dropped_whole(vendor: Vendor) -> None:
    """On PostgreSQL the next two months are ready, one that is too old is no table any more."""
    await vendor.report(vendor.pull(at=NOW - timedelta(days=40)))
    await _keeper(vendor.database, timedelta()).tidy()
    async with vendor.database.read() as session:
        if session.get_bind().dialect.name == "sqlite":
            return
        made = await partitions.months(session)
    this_month = Month.of(milliseconds(NOW))
    old = Month.of(milliseconds(NOW - timedelta(days=40)))
    assert {old, this_month, this_month.next, this_month.next.next} <= set(made)

    await _keeper(vendor.database, KEPT).tidy()
    async with vendor.database.read() as session:
        made = await partitions.months(session)
    assert old not in made
    assert this_month in made


async def test_what_an_organization_leaves_behind_goes_with_it(vendor: Vendor) -> None:
    """When it was deleted, nobody could see its pulls any more."""
    await vendor.report(vendor.pull())
    async with vendor.database.write() as session:
        await session.delete(vendor.organization)
    await _keeper(vendor.database, timedelta()).tidy()
    assert [await _count(vendor, table) for table in (PullRecord, PullSum, PullName)] == [0, 0, 0]
