"""What nodes report is stored once, with its sums, whatever became of what it names."""

import asyncio
from datetime import timedelta

import pytest
from sqlmodel import col, select

from controlplane.analytics.names import Names
from controlplane.model.database import Database
from controlplane.model.pull_tables import Grain, PullRecord, PullSum, Shape
from penstock.v1.pull_pb2 import PullEvent
from tests.fakes.pulls import Vendor, event
from tests.fakes.rows import NOW, add_organization


async def _stored(vendor: Vendor) -> list[PullRecord]:
    async with vendor.database.read() as session:
        rows = await session.exec(
            select(PullRecord)
            .where(PullRecord.organization_id == vendor.organization.id)
            .order_by(col(PullRecord.time))
        )
        return list(rows)


async def _sums(vendor: Vendor, grain: Grain, shape: Shape) -> list[PullSum]:
    async with vendor.database.read() as session:
        rows = await session.exec(
            select(PullSum).where(
                PullSum.organization_id == vendor.organization.id,
                PullSum.grain == grain,
                PullSum.shape == shape,
            )
        )
        return list(rows)


async def test_an_event_that_is_sent_again_counts_once(vendor: Vendor) -> None:
    """A node that heard no answer reports the same again, with others, and even twice in one report."""
    first, second = vendor.pull(), vendor.pull(at=NOW + timedelta(seconds=1))
    await vendor.report(first)
    await vendor.report(first, second, second)
    assert len(await _stored(vendor)) == 2
    (total,) = await _sums(vendor, Grain.DAY, Shape.TOTAL)
    assert total.count == 2
    assert (len(vendor.counts.stored_events), vendor.counts.repeated_events) == (2, 2)
    assert vendor.counts.refused_events == 0


async def test_reports_at_the_same_time_count_once(vendor: Vendor) -> None:
    """Two control planes that are told the same at once store it once, and neither fails."""
    events = [vendor.pull("hank", tag=f"1.{number % 5}") for number in range(50)]
    await asyncio.gather(*(vendor.report(*events) for _ in range(4)))
    assert len(await _stored(vendor)) == 50
    (total,) = await _sums(vendor, Grain.HOUR, Shape.TOTAL)
    assert total.count == 50


async def test_sums_tell_apart_what_their_shape_does(vendor: Vendor) -> None:
    """Cold pulls and bytes are summed, checks are not counted as pulls, hours and days go by UTC."""
    late = NOW + timedelta(hours=2)
    await vendor.report(
        vendor.pull("hank", bytes_sent=10),
        vendor.pull("hank", bytes_sent=5, cold_blobs=1, at=late),
        vendor.pull("bill", tag="2.0"),
        vendor.pull("bill", tag="2.0", kind=PullEvent.CHECK),
    )
    days = await _sums(vendor, Grain.DAY, Shape.CUSTOMER)
    assert sorted((row.kind, row.count, row.cold, row.bytes_sent) for row in days) == [
        (PullEvent.PULL, 1, 0, 0),
        (PullEvent.PULL, 2, 1, 15),
        (PullEvent.CHECK, 1, 0, 0),
    ]
    hours = await _sums(vendor, Grain.HOUR, Shape.ARTIFACT)
    assert sorted(row.bucket - int(NOW.timestamp()) // 3600 for row in hours) == [0, 0, 2]
    holders = await _sums(vendor, Grain.DAY, Shape.HOLDER)
    assert max(row.last_time for row in holders) == int(late.timestamp()) * 1000


async def test_what_is_gone_does_not_lose_a_report(vendor: Vendor) -> None:
    """What nobody knows any more keeps its uid for a name; the rest is stored as well."""
    await vendor.report(
        vendor.pull(artifact_uid="gone-artifact", customer_uid="gone-customer", user_uid="gone-user"),
        vendor.pull("hank"),
    )
    gone, _ = sorted(await _stored(vendor), key=lambda row: row.event_id)
    names = Names()
    async with vendor.database.read() as session:
        await names.learn(session, (gone.artifact_id, gone.customer_id, gone.user_id))
    assert [names.of(number).name for number in (gone.artifact_id, gone.customer_id, gone.user_id)] == [
        "gone-artifact",
        "gone-customer",
        "gone-user",
    ]


async def test_names_stay_when_what_they_name_goes(vendor: Vendor) -> None:
    """The history tells path and e-mail address of an artifact and a user that were deleted."""
    await vendor.report(vendor.pull("hank"))
    async with vendor.database.write() as session:
        await session.delete(vendor.app)
        await session.delete(vendor.users["hank"])
    await vendor.report(vendor.pull("hank"))
    first, second = await _stored(vendor)
    assert (first.artifact_id, first.user_id) == (second.artifact_id, second.user_id)
    names = Names()
    async with vendor.database.read() as session:
        await names.learn(session, (first.artifact_id, first.user_id, first.customer_id))
    user = names.of(first.user_id)
    assert (user.uid, user.name, user.display_name) == (
        vendor.users["hank"].uid,
        "hank@example.com",
        "Hank",
    )
    assert names.of(first.artifact_id).name == "team/app"


async def test_events_that_cannot_be_stored_do_not_hold_up_others(vendor: Vendor) -> None:
    """Without id, of no kind, of an organization that is gone, too old, of tomorrow: left out, counted."""
    await vendor.report(
        vendor.pull(id="nonsense"),
        vendor.pull(kind=PullEvent.KIND_UNSPECIFIED),
        vendor.pull(organization_uid="gone"),
        vendor.pull(at=NOW - timedelta(days=91)),
        vendor.pull(at=NOW + timedelta(days=2)),
        event(),
        vendor.pull(client="a\0b" * 200, bytes_sent=-5, bytes_redirected=-5, warm_blobs=2**31 - 1),
    )
    assert vendor.counts.refused_events == 6
    (stored,) = await _stored(vendor)
    assert (stored.bytes_sent, stored.bytes_redirected, stored.warm_blobs) == (0, 0, 2**30)


async def test_impossible_numbers_of_bytes_lose_no_report(vendor: Vendor) -> None:
    """What a node says of each pull is cut to what one could be: no sum of them is too large to be stored."""
    wrong = [vendor.pull(bytes_sent=2**63 - 1, bytes_redirected=2**60) for _ in range(20)]
    await vendor.report(*wrong, vendor.pull(bytes_sent=10))
    assert len(await _stored(vendor)) == 21
    (total,) = await _sums(vendor, Grain.DAY, Shape.TOTAL)
    assert (total.bytes_sent, total.bytes_redirected) == (20 * 2**44 + 10, 20 * 2**44)


async def test_a_report_of_nothing_that_can_be_stored_is_counted(vendor: Vendor) -> None:
    """That nothing of it is left hides nothing."""
    await vendor.report(vendor.pull(id="nonsense"), vendor.pull(at=NOW - timedelta(days=91)))
    assert vendor.counts.refused_events == 2


async def test_an_empty_report_is_taken(vendor: Vendor) -> None:
    """A node that has nothing to say may say so."""
    await vendor.report()
    assert await _stored(vendor) == []


async def test_one_id_in_two_organizations_is_two_events(vendor: Vendor, database: Database) -> None:
    """Nobody can keep another organization's pull from being stored by guessing its id."""
    other = await add_organization(database)
    mine = vendor.pull()
    theirs = vendor.pull(organization_uid=other.uid, id=mine.id)
    await vendor.report(theirs)
    await vendor.report(mine)
    assert len(await _stored(vendor)) == 1


@pytest.mark.parametrize("count", [1000])
async def test_a_full_report_of_all_different_events(vendor: Vendor, count: int) -> None:
    """As many as a report may have, alike in nothing, are within what a statement may hold."""
    await vendor.report(
        *(
            vendor.pull(
                tag=f"tag{number}",
                digest=f"digest{number}",
                platform=f"platform{number}",
                platform_digest=f"platform digest{number}",
                address=f"address{number}",
                client=f"client{number}",
                token_uid=f"token{number}",
                at=NOW - timedelta(hours=number),
            )
            for number in range(count)
        )
    )
    assert len(await _stored(vendor)) == count
