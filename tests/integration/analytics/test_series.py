"""Sums are those of the events, from whatever series they come, also in a database that is older."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import combinations, product
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import Connection, select
from sqlmodel import col

from controlplane.analytics.pages import Shown
from controlplane.api.caller import Caller, acting_as
from controlplane.api.pulls import PullServicer
from controlplane.model import migrate
from controlplane.model.pull_tables import PullSum
from controlplane.model.roles import Role
from penstock.v1 import pull_pb2 as pb
from penstock.v1.pull_pb2 import PullEvent
from tests.fakes.pulls import Vendor
from tests.fakes.rows import NOW

_Sums = pb.SumPullsRequest
# How a dimension is called in an event, in an answer and, where one can choose by it, in a filter.
_NAMED = {
    _Sums.ARTIFACT: ("artifact_uid", "artifact_uid", None),
    _Sums.TAG: ("tag", "tag", "tag"),
    _Sums.CUSTOMER: ("customer_uid", "customer_uid", "customer"),
    _Sums.USER: ("user_uid", "user_uid", "user"),
    _Sums.TOKEN: ("token_uid", "token_uid", "token_uid"),
    _Sums.ADDRESS: ("address", "address", "address"),
    _Sums.CLIENT: ("client", "client", "client"),
}


@pytest.fixture
def pulls(vendor: Vendor) -> Iterator[PullServicer]:
    """The service, asked by a member of the vendor."""
    with acting_as(Caller(user_uid="u", role=Role.READ_ONLY, organization_id=vendor.organization.id)):
        yield PullServicer(vendor.database, lambda: NOW)


def _events(vendor: Vendor) -> list[PullEvent]:
    """Makes pulls of three days that differ in everything."""
    users, tags, addresses = (
        ("hank", "bill", "ann"),
        ("1.0", "2.0"),
        ("192.0.2.1", "192.0.2.2", "2001:db8::1"),
    )
    return [
        vendor.pull(
            user,
            tag,
            at=NOW - timedelta(days=number % 3),
            address=addresses[number % 3],
            client=f"client/{number % 2}",
            artifact_uid=f"artifact {number % 4 % 3}",
            token_uid=f"token {number % 5} of {user}",
            bytes_sent=1 << number,
            bytes_redirected=3 << number,
            cold_blobs=number % 7 % 2,
            kind=PullEvent.CHECK if number % 6 == 5 else PullEvent.PULL,
        )
        for number, (user, tag, _) in enumerate(product(users, tags, range(7)))
    ]


def _expected(
    events: Sequence[PullEvent], by: Sequence[int], daily: bool
) -> dict[tuple[str, ...], list[int]]:
    counts: dict[tuple[str, ...], list[int]] = {}
    for one in events:
        day = (str(one.time.ToDatetime().date()),) if daily else ()
        found = counts.setdefault(
            (*day, *(str(getattr(one, _NAMED[dimension][0])) for dimension in by)), [0, 0, 0, 0, 0]
        )
        pulled = one.kind == PullEvent.PULL
        values = (pulled, pulled and one.cold_blobs > 0, not pulled, one.bytes_sent, one.bytes_redirected)
        for place, more in enumerate(values):
            found[place] += more
    return counts


async def _asked(
    pulls: PullServicer, vendor: Vendor, by: Sequence[int], daily: bool, chosen: pb.PullFilter
) -> dict[tuple[str, ...], list[int]]:
    request = _Sums(
        parent=f"organizations/{vendor.organization.slug}",
        group_by=by,
        period=_Sums.DAY if daily else _Sums.PERIOD_UNSPECIFIED,
        filter=chosen,
        page_size=1000,
    )
    return {
        (
            *((str(one.start_time.ToDatetime().date()),) if daily else ()),
            *(str(getattr(one, _NAMED[dimension][1])) for dimension in by),
        ): [one.pulls, one.cold_pulls, one.checks, one.bytes_sent, one.bytes_redirected]
        for one in (await pulls.SumPulls(request, object())).sums
    }


async def test_every_question_has_the_answer_of_the_events(vendor: Vendor, pulls: PullServicer) -> None:
    """Each dimension by day, alone and with a filter by each, and each two: no series tells anything else."""
    events = _events(vendor)
    await vendor.report(*events)
    organization = f"organizations/{vendor.organization.slug}"
    for count in (0, 1, 2):
        for by in combinations(_NAMED, count):
            daily = count < 2
            assert await _asked(pulls, vendor, by, daily, pb.PullFilter()) == _expected(events, by, daily), by
    for by, (dimension, (field, _, chosen_by)) in product(_NAMED, _NAMED.items()):
        if chosen_by is None:
            continue
        value = str(getattr(events[0], field))
        kept = [one for one in events if getattr(one, field) == value]
        text = f"{organization}/{chosen_by}s/{value}" if chosen_by in ("customer", "user") else value
        found = await _asked(pulls, vendor, (by,), True, pb.PullFilter(**{chosen_by: text}))
        assert found == _expected(kept, (by,), True), (by, dimension)


async def test_users_and_customers_are_counted_once_whatever_they_are_told_by(
    vendor: Vendor, pulls: PullServicer
) -> None:
    """In all, by artifact, by tag, by customer and by day; the organization's own users are no customer."""
    events = _events(vendor)
    await vendor.report(*events)
    for by in ((), (_Sums.ARTIFACT,), (_Sums.TAG,), (_Sums.CUSTOMER,), (_Sums.CLIENT,)):
        request = _Sums(
            parent=f"organizations/{vendor.organization.slug}", group_by=by, distinct=True, page_size=100
        )
        for one in (await pulls.SumPulls(request, object())).sums:
            same = [
                event
                for event in events
                if all(getattr(event, _NAMED[each][0]) == getattr(one, _NAMED[each][1]) for each in by)
            ]
            assert one.distinct_users == len({event.user_uid for event in same})
            assert one.distinct_customers == len({event.customer_uid for event in same} - {""})


@pytest.mark.parametrize("period", [_Sums.PERIOD_UNSPECIFIED, _Sums.HOUR, _Sums.DAY, _Sums.WEEK])
async def test_pages_are_the_list(vendor: Vendor, pulls: PullServicer, period: Any) -> None:
    """However small, and wherever a period ends: each sum once, in order, none of what was not asked for."""
    usual = ("hank", "bill", "ann")
    days = (0, 1, 6, 7, 9, 20)
    await vendor.report(
        *(
            vendor.pull(user, "1.0", at=NOW - timedelta(days=day, minutes=number * 40))
            for day in days
            for number, user in enumerate(usual[: 1 + day % 3] * 2)
        )
    )
    for by in ((), (_Sums.USER,), (_Sums.USER, _Sums.TAG)):
        request = _Sums(
            parent=f"organizations/{vendor.organization.slug}",
            group_by=by,
            period=period,
            # In the middle of a week, and before everything but the oldest.
            filter=pb.PullFilter(start_time=Timestamp(seconds=int((NOW - timedelta(days=15)).timestamp()))),
            page_size=1000,
        )
        whole = list((await pulls.SumPulls(request, object())).sums)
        assert sum(one.pulls for one in whole) == sum(2 * (1 + day % 3) for day in days[:-1])
        assert whole == sorted(whole, key=lambda one: (one.start_time.seconds, -one.pulls))
        for size in (1, 2, 5):
            found: list[pb.PullSum] = []
            request.page_size, request.page_token = size, ""
            while True:
                answer = await pulls.SumPulls(request, object())
                found += answer.sums
                assert len(answer.sums) <= size
                assert len(found) <= len(whole)
                if not answer.next_page_token:
                    break
                request.page_token = answer.next_page_token
            assert found == whole


@pytest.mark.parametrize("text", ["", "7", "x:1", "1:x", "1:-1", f"{1 << 40}:1", f"1:{1 << 40}"])
def test_a_place_in_the_list_that_cannot_be(text: str) -> None:
    """Is refused where a page token is read, and not by the database."""
    with pytest.raises(ValueError):
        Shown.parse(text)


def _older_and_back(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate._MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.downgrade(config, "0007_cache_policy")
    command.upgrade(config, "head")


async def test_series_that_are_new_are_made_of_events_that_are_stored(vendor: Vendor) -> None:
    """A database of the version before them has the same sums after its migration as if it had kept them."""
    events = _events(vendor)
    for event in events:
        # What the version before did not know is gone for good.
        event.bytes_redirected = 0
    await vendor.report(*events)

    async def rows(change: bool) -> Counter[tuple[object, ...]]:
        table = PullSum.__table__  # type: ignore[attr-defined]  # of every table
        async with vendor.database.write() as session:
            connection = await session.connection()
            if change:
                await connection.run_sync(_older_and_back)
            names = sorted(table.columns.keys())
            found = await connection.execute(
                select(*(table.c[name] for name in names)).where(
                    col(PullSum.organization_id) == vendor.organization.id
                )
            )
            return Counter(tuple(row) for row in found)

    before = await rows(change=False)
    assert await rows(change=True) == before
