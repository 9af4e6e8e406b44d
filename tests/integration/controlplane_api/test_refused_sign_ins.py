"""Refused sign-ins as administrators read them."""

import asyncio
import functools
import time

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from clients.control.client import ControlClient
from penstock.v1 import audit_pb2 as pb
from penstock.v1 import customer_pb2, node_pb2, user_pb2
from tests.servers import http
from tests.servers.control_plane import Plane, refused

ACME, OTHER, EVERYWHERE = "organizations/acme", "organizations/other", "organizations/-"
# Seconds since the epoch: a minute ago, for times to come are not believed, nor old ones kept.
BEGAN = int(time.time()) - 60
Refused = node_pb2.ReportUseRequest.RefusedSignIns


async def _report(node: ControlClient, *refusals: Refused) -> None:
    await node.nodes.ReportUse(node_pb2.ReportUseRequest(refused_sign_ins=refusals))


async def _listed(client: ControlClient, parent: str, **filters: str) -> list[tuple[str, str, int]]:
    request = pb.ListRefusedSignInsRequest(parent=parent, **filters)
    answer = await client.audit.ListRefusedSignIns(request)
    return [(each.address, each.token_uid, each.count) for each in answer.refused_sign_ins]


@pytest.fixture
async def uids(plane: Plane) -> dict[str, str]:
    """What two nodes told: of a token of each organization, of one that acme took back, of unknown ones."""
    acme = await plane.organization("acme")
    await plane.organization("other")
    uids = {}
    for slug in ("acme", "other"):
        user, _ = await plane.user(slug, "read_only", f"ci@{slug}.example.com")
        (token,) = (await plane.root.users.ListTokens(user_pb2.ListTokensRequest(parent=user.name))).tokens
        uids[slug] = token.uid
    uids["revoked"] = "01234567-89ab-4cde-8f01-23456789abcd"
    one, two = await plane.node("one"), await plane.node("two")
    times = [Timestamp(seconds=BEGAN + number) for number in range(5)]
    await _report(
        one,
        Refused(address="192.0.2.1", token_uid=uids["acme"], count=2, last_time=times[0]),
        Refused(address="192.0.2.1", token_uid=uids["other"], count=5, last_time=times[1]),
        Refused(address="192.0.2.9", count=7, last_time=times[2]),
    )
    await _report(
        two,
        Refused(address="192.0.2.1", token_uid=uids["acme"], count=1, last_time=times[4]),
        Refused(
            address="192.0.2.2",
            token_uid=uids["revoked"],
            organization_uid=acme.uid,
            count=3,
            last_time=times[3],
        ),
    )
    return uids


async def test_an_organization_sees_what_was_tried_with_its_tokens(
    plane: Plane, uids: dict[str, str]
) -> None:
    """Those that are there and those that it revoked, the latest first, counts of all nodes together."""
    me = await plane.member("acme", "admin")
    everything = [("192.0.2.1", uids["acme"], 3), ("192.0.2.2", uids["revoked"], 3)]
    assert await _listed(me, ACME) == everything
    assert await _listed(me, ACME, address="192.0.2.2") == everything[1:]
    assert await _listed(me, ACME, token_uid=uids["acme"]) == everything[:1]
    assert await _listed(me, ACME, token_uid=uids["other"]) == []
    assert await _listed(me, ACME, address="192.0.2.9") == []
    assert await _listed(me, ACME, address="::ffff:192.0.2.2") == everything[1:]
    assert "IP address" in str(await refused(_listed(me, ACME, address="192.0.2.0/24")))
    answer = await me.audit.ListRefusedSignIns(pb.ListRefusedSignInsRequest(parent=ACME, page_size=1))
    (first,) = answer.refused_sign_ins
    assert first.organization == ACME
    assert (first.first_time.seconds, first.last_time.seconds) == (BEGAN, BEGAN + 4)
    rest = pb.ListRefusedSignInsRequest(parent=ACME, page_token=answer.next_page_token)
    (second,) = (await me.audit.ListRefusedSignIns(rest)).refused_sign_ins
    assert second.token_uid == uids["revoked"]


async def test_the_installation_sees_everything(plane: Plane, uids: dict[str, str]) -> None:
    """Unknown tokens, which are of no organization, included."""
    listed = await _listed(plane.root, EVERYWHERE)
    assert [(address, count) for address, _, count in listed] == [
        ("192.0.2.1", 3),
        ("192.0.2.2", 3),
        ("192.0.2.9", 7),
        ("192.0.2.1", 5),
    ]
    assert await _listed(plane.root, OTHER) == [("192.0.2.1", uids["other"], 5)]


@pytest.mark.usefixtures("uids")
async def test_who_may_see_them(plane: Plane) -> None:
    """Administrators of the organization, and nobody of a customer's; a foreign one does not exist."""
    boss = await plane.member("acme", "admin")
    writer = await plane.member("acme", "read_write")
    customer = await plane.root.customers.CreateCustomer(
        customer_pb2.CreateCustomerRequest(parent=ACME, customer_id="globex")
    )
    _, secret = await plane.user("acme", "admin", "boss@globex.example.com", customer=customer.name)
    for client, parent, reason in (
        (boss, OTHER, "ORGANIZATION_UNKNOWN"),
        (boss, EVERYWHERE, "ROLE_TOO_LOW"),
        (writer, ACME, "ROLE_TOO_LOW"),
        (await plane.client(secret), ACME, "NOT_FOR_CUSTOMERS"),
    ):
        call = client.audit.ListRefusedSignIns(pb.ListRefusedSignInsRequest(parent=parent))
        assert (await refused(call)).reason == reason


async def test_they_are_listed_over_rest(plane: Plane, uids: dict[str, str]) -> None:
    """As over gRPC, with pages and filters."""
    _, secret = await plane.user("acme", "admin")

    async def get(query: str) -> http.Answer:
        path = f"/api/v1/organizations/acme/refusedSignIns{query}"
        headers = {"Authorization": f"Bearer {secret}"}
        call = functools.partial(http.request, str(plane.running.http), "GET", path, headers=headers)
        return await asyncio.to_thread(call)

    page = (await get("?pageSize=1")).json()
    assert [each["tokenUid"] for each in page["refusedSignIns"]] == [uids["acme"]]
    rest = (await get(f"?pageToken={page['nextPageToken']}")).json()
    assert [each["count"] for each in rest["refusedSignIns"]] == ["3"]
    assert (await get("?address=192.0.2.77")).json() == {"refusedSignIns": [], "nextPageToken": ""}
    assert (await get("?pageToken=x")).status == 400


async def test_a_report_that_is_sent_again_counts_once(plane: Plane) -> None:
    """A node that heard no answer sends it as it was; another report, or another node's, counts as well."""
    one, two = await plane.node("one"), await plane.node("two")
    refusals = Refused(address="192.0.2.1", count=3, last_time=Timestamp(seconds=BEGAN))

    async def report(node: ControlClient, report_id: str) -> int:
        await node.nodes.ReportUse(
            node_pb2.ReportUseRequest(refused_sign_ins=[refusals], report_id=report_id)
        )
        ((_, _, count),) = await _listed(plane.root, EVERYWHERE)
        return count

    assert await report(one, "first") == 3
    assert await report(one, "first") == 3
    assert await report(two, "first") == 6
    assert await report(one, "second") == 9
    # Nodes of older versions give none.
    assert await report(one, "") == 12
    assert await report(one, "") == 15
    assert 'penstock_refused_sign_ins_total{token="unknown"} 15.0' in await _metrics(plane)


async def test_an_impossible_count_loses_no_report(plane: Plane) -> None:
    """However often it is told: it is cut to what can be summed."""
    node = await plane.node("one")
    for _ in range(3):
        await _report(node, Refused(address="192.0.2.1", count=2**62, last_time=Timestamp(seconds=BEGAN)))
    ((_, _, count),) = await _listed(plane.root, EVERYWHERE)
    assert count == 3 * 2**30


async def _metrics(plane: Plane) -> str:
    address = str(plane.running.http)
    return (await asyncio.to_thread(http.request, address, "GET", "/metrics")).body.decode()
