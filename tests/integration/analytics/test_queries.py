"""What PullService answers, on both databases."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from controlplane.api.caller import Caller, acting_as
from controlplane.api.errors import ApiError
from controlplane.api.pulls import PullServicer
from controlplane.model.roles import Role
from penstock.v1 import pull_pb2 as pb
from penstock.v1.pull_pb2 import PullEvent
from tests.fakes.pulls import Vendor
from tests.fakes.rows import NOW, add_artifact

_CONTEXT = object()
_Sums = pb.SumPullsRequest


@pytest.fixture
def pulls(vendor: Vendor) -> Iterator[PullServicer]:
    """The service, asked by a member of the vendor."""
    with acting_as(Caller(user_uid="u", role=Role.READ_ONLY, organization_id=vendor.organization.id)):
        yield PullServicer(vendor.database, lambda: NOW)


def _at(moment: Any) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _parent(vendor: Vendor) -> str:
    return f"organizations/{vendor.organization.slug}"


async def _tags(pulls: PullServicer, vendor: Vendor, **fields: Any) -> list[str]:
    """Gives the tags of the pulls that a filter lets through, newest first."""
    request = pb.ListPullsRequest(parent=_parent(vendor), filter=pb.PullFilter(**fields))
    return [pull.tag for pull in (await pulls.ListPulls(request, _CONTEXT)).pulls]


async def test_pulls_come_newest_first_page_by_page(vendor: Vendor, pulls: PullServicer) -> None:
    """Every one once, also those of one moment; names are in full; a token is good for its list alone."""
    events = [
        vendor.pull("hank", tag=f"1.{number}", at=NOW - timedelta(minutes=number // 2)) for number in range(7)
    ]
    await vendor.report(*events)
    request = pb.ListPullsRequest(parent=_parent(vendor), page_size=3)
    found: list[pb.Pull] = []
    sizes = []
    while True:
        answer = await pulls.ListPulls(request, _CONTEXT)
        sizes.append(len(answer.pulls))
        found += answer.pulls
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert sizes == [3, 3, 1]
    assert {pull.id for pull in found} == {event.id for event in events}
    times = [pull.time.ToDatetime() for pull in found]
    assert times == sorted(times, reverse=True)
    assert found[0].artifact == f"{_parent(vendor)}/artifacts/team~app"
    assert found[0].user == "hank@example.com"
    assert found[0].customer_uid == vendor.globex_uid
    request.filter.tag = "1.0"
    with pytest.raises(ApiError, match="page_token"):
        await pulls.ListPulls(request, _CONTEXT)


async def test_filters_combine(vendor: Vendor, pulls: PullServicer) -> None:
    """By time, what was pulled, by whom, with what, from where, and whether it was warm."""
    other = await add_artifact(
        vendor.database, "127.0.0.1:1/other", "other", organization=vendor.organization
    )
    await vendor.report(
        vendor.pull("hank", tag="1.1.0", at=NOW - timedelta(days=3), address="192.0.2.7"),
        vendor.pull("hank", tag="1.1.4", at=NOW - timedelta(days=2), cold_blobs=1),
        vendor.pull("bill", tag="1.2.0", at=NOW - timedelta(days=1), client="containerd/1.6"),
        vendor.pull("ann", tag="latest", kind=PullEvent.CHECK, artifact_uid=other.uid, address="2001:db8::7"),
    )
    everything = ["latest", "1.2.0", "1.1.4", "1.1.0"]
    parent = _parent(vendor)
    for fields, expected in (
        ({}, everything),
        ({"start_time": _at(NOW - timedelta(days=2))}, everything[:3]),
        ({"end_time": _at(NOW - timedelta(days=2))}, ["1.1.0"]),
        ({"artifact": f"{parent}/artifacts/other"}, ["latest"]),
        ({"tag": "1.2.0"}, ["1.2.0"]),
        ({"version_range": "1.1.x"}, ["1.1.4", "1.1.0"]),
        ({"version_range": "1.1.x", "tag": "1.1.0"}, ["1.1.0"]),
        ({"version_range": "3.x"}, []),
        ({"digest": "sha256:1.1.4"}, ["1.1.4"]),
        ({"customer": f"{parent}/customers/{vendor.initech_uid}"}, ["1.2.0"]),
        ({"user": f"{parent}/users/hank@example.com"}, ["1.1.4", "1.1.0"]),
        ({"user": f"{parent}/users/{vendor.users['ann'].uid}"}, ["latest"]),
        ({"token_uid": "token of bill"}, ["1.2.0"]),
        ({"address": "192.0.2.7"}, ["1.1.0"]),
        ({"client": "containerd/1.6"}, ["1.2.0"]),
        ({"client": "docker/*"}, ["latest", "1.1.4", "1.1.0"]),
        ({"kind": PullEvent.CHECK}, ["latest"]),
        ({"temperature": pb.COLD}, ["1.1.4"]),
        ({"temperature": pb.WARM, "kind": PullEvent.PULL}, ["1.2.0", "1.1.0"]),
        ({"user": f"{parent}/users/hank@example.com", "address": "192.0.2.1"}, ["1.1.4"]),
        ({"address": "198.51.100.1"}, []),
        ({"address": "2001:DB8:0::7"}, ["latest"]),
    ):
        assert await _tags(pulls, vendor, **fields) == expected, fields


async def test_the_beginning_of_a_client_is_meant_to_the_letter(vendor: Vendor, pulls: PullServicer) -> None:
    """`docker/*` is the engine and `Docker-Client/*` another program: on every database."""
    await vendor.report(
        vendor.pull(tag="engine", client="docker/20.10"), vendor.pull(tag="shout", client="DOCKER/20.10")
    )
    assert await _tags(pulls, vendor, client="docker/*") == ["engine"]
    assert await _tags(pulls, vendor, client="DOCKER/*") == ["shout"]


@pytest.mark.parametrize("period", [_Sums.PERIOD_UNSPECIFIED, _Sums.HOUR, _Sums.WEEK])
async def test_sums_until_the_end_of_time(vendor: Vendor, pulls: PullServicer, period: Any) -> None:
    """Who means no end says the last moment that there is; the day behind it needs no name of its own."""
    await vendor.report(vendor.pull())
    filter_ = pb.PullFilter()
    filter_.end_time.FromJsonString("9999-12-31T23:59:59.999Z")
    filter_.start_time.FromJsonString("0001-01-01T00:00:00Z")
    answer = await pulls.SumPulls(
        pb.SumPullsRequest(parent=_parent(vendor), filter=filter_, period=period), _CONTEXT
    )
    assert [each.pulls for each in answer.sums] == [1]
    filter_.ClearField("start_time")
    filter_.end_time.FromJsonString("0001-01-02T00:00:00Z")
    answer = await pulls.SumPulls(pb.SumPullsRequest(parent=_parent(vendor), filter=filter_), _CONTEXT)
    assert not answer.sums


async def test_wrong_filters_are_told_all_at_once(vendor: Vendor, pulls: PullServicer) -> None:
    """Each with its field."""
    request = pb.ListPullsRequest(
        parent=_parent(vendor),
        filter=pb.PullFilter(
            artifact="organizations/other/artifacts/app",
            customer="globex",
            user="somebody",
            version_range="nonsense!",
            address="192.0.2.0/24",
            start_time=_at(NOW),
            end_time=_at(NOW),
        ),
    )
    with pytest.raises(ApiError) as caught:
        await pulls.ListPulls(request, _CONTEXT)
    assert {violation.field for violation in caught.value.violations} == {
        f"filter.{name}" for name in ("artifact", "customer", "user", "version_range", "address", "end_time")
    }


@pytest.mark.parametrize("filtered", [False, True])
async def test_sums_by_time(vendor: Vendor, pulls: PullServicer, filtered: bool) -> None:
    """Hours, days and weeks from Monday, UTC, from the sums and from the events alike."""
    # NOW is Wednesday, January 2.
    for days, pulled in ((0, 3), (1, 2), (2, 1), (3, 1)):
        await vendor.report(*(vendor.pull(at=NOW - timedelta(days=days)) for _ in range(pulled)))
    # Only events know of addresses.
    which = pb.PullFilter(address="192.0.2.1") if filtered else pb.PullFilter()
    expected = {
        _Sums.PERIOD_UNSPECIFIED: [("", 7)],
        _Sums.HOUR: [
            ("2029-12-30 03:00:00", 1),
            ("2029-12-31 03:00:00", 1),
            ("2030-01-01 03:00:00", 2),
            ("2030-01-02 03:00:00", 3),
        ],
        _Sums.DAY: [
            ("2029-12-30 00:00:00", 1),
            ("2029-12-31 00:00:00", 1),
            ("2030-01-01 00:00:00", 2),
            ("2030-01-02 00:00:00", 3),
        ],
        _Sums.WEEK: [("2029-12-24 00:00:00", 1), ("2029-12-31 00:00:00", 6)],
    }
    for period, sums in expected.items():
        answer = await pulls.SumPulls(_Sums(parent=_parent(vendor), period=period, filter=which), _CONTEXT)
        found = [
            (str(each.start_time.ToDatetime()) if each.HasField("start_time") else "", each.pulls)
            for each in answer.sums
        ]
        assert found == sums
    assert answer.end_time.ToDatetime(NOW.tzinfo) == NOW.replace(day=3, hour=0, minute=0, second=0)


async def test_sums_by_what_pulls_have(vendor: Vendor, pulls: PullServicer) -> None:
    """Most pulls first; checks, cold pulls, bytes and the last time beside; users and customers once each."""
    await vendor.report(
        vendor.pull("hank", tag="1.0", bytes_sent=100, bytes_redirected=3000),
        vendor.pull("hank", tag="1.0", bytes_sent=1, cold_blobs=2, at=NOW + timedelta(minutes=1)),
        vendor.pull("bill", tag="1.0"),
        vendor.pull("bill", tag="2.0", kind=PullEvent.CHECK),
        vendor.pull("ann", tag="2.0", address="192.0.2.9"),
    )

    async def sums(*by: Any, **fields: Any) -> list[pb.PullSum]:
        request = _Sums(parent=_parent(vendor), group_by=by, **fields)
        return list((await pulls.SumPulls(request, _CONTEXT)).sums)

    one, two = await sums(_Sums.TAG, distinct=True)
    assert (one.tag, one.pulls, one.cold_pulls, one.checks, one.bytes_sent) == ("1.0", 3, 1, 0, 101)
    assert one.bytes_redirected == 3000
    assert (one.distinct_users, one.distinct_customers) == (2, 2)
    assert one.last_time.ToDatetime(NOW.tzinfo) == NOW + timedelta(minutes=1)
    assert (two.tag, two.pulls, two.checks) == ("2.0", 1, 1)
    assert (two.distinct_users, two.distinct_customers) == (2, 1)

    by_customer = await sums(_Sums.CUSTOMER)
    assert [(each.customer_uid, each.pulls) for each in by_customer] == [
        (vendor.globex_uid, 2),
        ("", 1),
        (vendor.initech_uid, 1),
    ]
    assert {each.address for each in await sums(_Sums.ADDRESS)} == {"192.0.2.1", "192.0.2.9"}
    assert (await sums(_Sums.USER))[0].user == "hank@example.com"
    (cold,) = await sums(filter=pb.PullFilter(temperature=pb.COLD))
    assert (cold.pulls, cold.cold_pulls) == (1, 1)
    (kept,) = await sums(_Sums.ARTIFACT, filter=pb.PullFilter(kind=PullEvent.CHECK))
    assert (kept.artifact, kept.pulls, kept.checks) == (f"{_parent(vendor)}/artifacts/team~app", 0, 1)

    request = _Sums(parent=_parent(vendor), group_by=[_Sums.CUSTOMER], page_size=2)
    first = await pulls.SumPulls(request, _CONTEXT)
    request.page_token = first.next_page_token
    second = await pulls.SumPulls(request, _CONTEXT)
    assert [*first.sums, *second.sums] == by_customer
    assert not second.next_page_token


async def test_who_is_still_on_a_version(vendor: Vendor, pulls: PullServicer) -> None:
    """A customer that has pulled a newer one is not, one that went back is; checks do not count."""
    await vendor.report(
        vendor.pull("hank", tag="1.1.0", at=NOW - timedelta(days=5)),
        vendor.pull("hank", tag="1.2.0", at=NOW - timedelta(days=4)),
        vendor.pull("bill", tag="1.2.0", at=NOW - timedelta(days=3)),
        vendor.pull("bill", tag="1.1.3", at=NOW - timedelta(days=2)),
        vendor.pull("bill", tag="1.2.0", at=NOW, kind=PullEvent.CHECK),
    )

    async def holders(versions: str) -> list[tuple[str, str]]:
        request = pb.ListVersionHoldersRequest(
            parent=f"{_parent(vendor)}/artifacts/team~app", version_range=versions
        )
        answer = await pulls.ListVersionHolders(request, _CONTEXT)
        return [(each.customer_uid, each.tag) for each in answer.version_holders]

    assert await holders("1.1.x") == [(vendor.initech_uid, "1.1.3")]
    assert await holders("1.2.x") == [(vendor.globex_uid, "1.2.0")]
    assert len(await holders("")) == 2


async def _exported(pulls: PullServicer, vendor: Vendor, shape: Any, **fields: Any) -> tuple[str, int]:
    request = pb.ExportPullsRequest(parent=_parent(vendor), format=shape, filter=pb.PullFilter(**fields))
    answers = [answer async for answer in pulls.ExportPulls(request, _CONTEXT)]
    assert answers[0].total == sum(answer.pulls for answer in answers)
    return b"".join(answer.content for answer in answers).decode(), answers[0].total


async def test_exports_have_the_columns_in_order(vendor: Vendor, pulls: PullServicer) -> None:
    """Date, customer and so on first; nothing in a cell is a formula; JSON has the same by name."""
    await vendor.report(
        vendor.pull(
            "hank", client='=cmd|" /C calc"!A0', bytes_sent=7, bytes_redirected=9, platform="linux/arm64/v8"
        ),
        vendor.pull("ann", tag="", at=NOW - timedelta(hours=1), client="\uff1d1+1"),
    )
    text, total = await _exported(pulls, vendor, pb.ExportPullsRequest.CSV)
    assert total == 2
    header, first, second = csv.reader(io.StringIO(text))
    assert header[:7] == ["Date", "Customer", "User", "Email", "Address", "Artifact", "Version"]
    assert first[:7] == [
        "2030-01-02T03:04:05.000Z",
        vendor.globex_uid,
        "Hank",
        "hank@example.com",
        "192.0.2.1",
        "team/app",
        "1.0",
    ]
    row = dict(zip(header, first, strict=True))
    assert row["Client"] == "'" + '=cmd|" /C calc"!A0'
    assert (row["Bytes Sent"], row["Platform"], row["Completed"]) == ("7", "linux/arm64/v8", "true")
    assert (header[-1], first[-1]) == ("Bytes Redirected", "9")
    assert second[1] == second[6] == ""
    assert dict(zip(header, second, strict=True))["Client"] == "'\uff1d1+1"

    text, _ = await _exported(pulls, vendor, pb.ExportPullsRequest.JSON_LINES, tag="1.0")
    (line,) = map(json.loads, text.splitlines())
    assert (line["version"], line["client"], line["bytes_sent"]) == ("1.0", '=cmd|" /C calc"!A0', 7)


@pytest.mark.parametrize("divided_by", [",", ";", "\t"])
async def test_no_cell_is_a_formula_wherever_a_spreadsheet_divides(
    vendor: Vendor, pulls: PullServicer, divided_by: str
) -> None:
    """Some divide cells at `;` or tabs, within texts as well; JSON Lines have every text as it is."""
    clients = ["curl;=1+1", 'a";=A1', 'a;"=A1"', 'a,";""; @A1', "b,@SUM(1)", "=1;=2", "c|+1;-1", "d; e"]
    await vendor.report(*(vendor.pull(client=client) for client in clients))
    text, _ = await _exported(pulls, vendor, pb.ExportPullsRequest.CSV)
    rows = list(csv.reader(io.StringIO(text), delimiter=divided_by))
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell.lstrip('" ').startswith(("=", "+", "-", "@"))]
    if divided_by == ",":
        column = rows[0].index("Client")
        assert sorted(row[column].replace("'", "") for row in rows[1:]) == sorted(clients)
        assert "d; e" in [row[column] for row in rows]

    text, _ = await _exported(pulls, vendor, pb.ExportPullsRequest.JSON_LINES)
    assert sorted(json.loads(line)["client"] for line in text.splitlines()) == sorted(clients)


async def test_an_export_longer_than_a_piece_is_whole(vendor: Vendor, pulls: PullServicer) -> None:
    """Every pull once, in order, over the borders of pieces; what comes meanwhile is not in it."""
    for start in range(0, 2500, 500):
        await vendor.report(
            *(vendor.pull(at=NOW - timedelta(seconds=number // 3)) for number in range(start, start + 500))
        )
    text, total = await _exported(pulls, vendor, pb.ExportPullsRequest.JSON_LINES)
    lines = [json.loads(line) for line in text.splitlines()]
    assert total == len({line["id"] for line in lines}) == len(lines) == 2500
    dates = [line["date"] for line in lines]
    assert dates == sorted(dates, reverse=True)


async def test_an_export_has_what_a_list_has(vendor: Vendor, pulls: PullServicer) -> None:
    """Pulls of a node whose clock is ahead as well, up to the end if there is one; empty without any."""
    assert await _exported(pulls, vendor, pb.ExportPullsRequest.JSON_LINES) == ("", 0)
    await vendor.report(vendor.pull(tag="now"), vendor.pull(tag="ahead", at=NOW + timedelta(hours=2)))
    for fields, tags in (({}, ["ahead", "now"]), ({"end_time": _at(NOW + timedelta(hours=1))}, ["now"])):
        text, _ = await _exported(pulls, vendor, pb.ExportPullsRequest.JSON_LINES, **fields)
        exported = [json.loads(line)["version"] for line in text.splitlines()]
        assert exported == await _tags(pulls, vendor, **fields) == tags


@pytest.mark.parametrize("period", [pb.SumPullsRequest.HOUR, pb.SumPullsRequest.DAY, None])
async def test_sums_have_what_a_list_has(vendor: Vendor, pulls: PullServicer, period: Any) -> None:
    """Pulls of a node whose clock is ahead as well, unless there is an end; the start is as ever."""
    await vendor.report(
        vendor.pull(tag="old", at=NOW - timedelta(days=30, hours=-1)),
        vendor.pull(tag="now"),
        vendor.pull(tag="ahead", at=NOW + timedelta(hours=23)),
    )
    by_tag = {"parent": _parent(vendor), "group_by": [pb.SumPullsRequest.TAG], "period": period}
    for fields, tags in (({}, {"old", "now", "ahead"}), ({"end_time": _at(NOW)}, {"old", "now"})):
        summed = await pulls.SumPulls(pb.SumPullsRequest(**by_tag, filter=pb.PullFilter(**fields)), None)
        assert {each.tag for each in summed.sums} == tags
    later = pb.PullFilter(start_time=_at(NOW + timedelta(hours=23)))
    summed = await pulls.SumPulls(pb.SumPullsRequest(**by_tag, filter=later), None)
    assert {each.tag for each in summed.sums} == {"ahead"}


async def test_another_organizations_pulls_do_not_exist(vendor: Vendor, pulls: PullServicer) -> None:
    """Nor do its artifacts' versions, or its export."""
    other = await Vendor.make(vendor.database)
    await other.report(other.pull())
    assert await _tags(pulls, vendor) == []
    parent = _parent(other)
    for call in (
        pulls.ListPulls(pb.ListPullsRequest(parent=parent), _CONTEXT),
        pulls.SumPulls(_Sums(parent=parent), _CONTEXT),
        pulls.ListVersionHolders(
            pb.ListVersionHoldersRequest(parent=f"{parent}/artifacts/team~app"), _CONTEXT
        ),
        anext(
            pulls.ExportPulls(
                pb.ExportPullsRequest(parent=parent, format=pb.ExportPullsRequest.CSV), _CONTEXT
            )
        ),
    ):
        with pytest.raises(ApiError, match="There is no organizations"):
            await call
