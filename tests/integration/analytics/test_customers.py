"""What users of a customer learn of pulls: their customer's, or their own, and nothing else."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlmodel import col, update

from controlplane.api.caller import Caller, acting_as
from controlplane.api.pulls import PullServicer
from controlplane.model.database import Database
from controlplane.model.identifiers import new_uid
from controlplane.model.pull_tables import PullName
from controlplane.model.roles import Role
from penstock.v1 import pull_pb2 as pb
from tests.fakes.pulls import Vendor
from tests.fakes.rows import NOW, add_customer

_Sums = pb.SumPullsRequest
COLLEAGUE = new_uid()
As = Callable[[str, Role], AbstractContextManager[None]]


@pytest.fixture
async def as_user(database: Database, vendor: Vendor) -> As:
    """Makes globex and initech known, and gives what acts as a user of one of them."""
    globex = await add_customer(database, vendor.organization, "globex")
    initech = await add_customer(database, vendor.organization, "initech")
    vendor.globex_uid, vendor.initech_uid = globex.uid, initech.uid
    customers = {"hank": globex, "bill": initech}

    def act(user: str, role: Role) -> AbstractContextManager[None]:
        return acting_as(
            Caller(
                user_uid=vendor.users[user].uid,
                role=role,
                organization_id=vendor.organization.id,
                customer_id=customers[user].id,
            )
        )

    return act


@pytest.fixture
async def pulls(vendor: Vendor, as_user: As) -> PullServicer:
    """The service, with pulls of two users of globex, one of initech, and one of the vendor."""
    await vendor.report(
        vendor.pull("hank", tag="1.0"),
        vendor.pull("hank", tag="1.1", user_uid=COLLEAGUE, address="192.0.2.9"),
        vendor.pull("bill", tag="2.0"),
        vendor.pull("ann", tag="3.0"),
    )
    return PullServicer(vendor.database, lambda: NOW)


async def _tags(pulls: PullServicer, vendor: Vendor, **fields: Any) -> dict[str, set[str]]:
    """Gives the tags that each way to ask tells of."""
    parent, which = f"organizations/{vendor.organization.slug}", pb.PullFilter(**fields)
    listed = await pulls.ListPulls(pb.ListPullsRequest(parent=parent, filter=which), object())
    summed = await pulls.SumPulls(_Sums(parent=parent, filter=which, group_by=[_Sums.TAG]), object())
    export = pb.ExportPullsRequest(parent=parent, filter=which, format=pb.ExportPullsRequest.CSV)
    pieces = [piece async for piece in pulls.ExportPulls(export, object())]
    lines = b"".join(piece.content for piece in pieces).decode().splitlines()[1:]
    assert pieces[0].total == len(lines)
    return {
        "list": {pull.tag for pull in listed.pulls},
        "sum": {one.tag for one in summed.sums},
        "export": {line.split(",")[6] for line in lines},
    }


def _each(*tags: str) -> dict[str, set[str]]:
    return {way: set(tags) for way in ("list", "sum", "export")}


async def test_a_customer_learns_of_its_own_pulls_alone(
    vendor: Vendor, pulls: PullServicer, as_user: As
) -> None:
    """Administrators of the customer see all of it, its other users what they pulled themselves."""
    with as_user("hank", Role.ADMIN):
        assert await _tags(pulls, vendor) == _each("1.0", "1.1")
        request = _Sums(parent=f"organizations/{vendor.organization.slug}", distinct=True)
        (everything,) = (await pulls.SumPulls(request, object())).sums
        assert (everything.pulls, everything.distinct_users, everything.distinct_customers) == (2, 2, 1)
    with as_user("bill", Role.ADMIN):
        assert await _tags(pulls, vendor) == _each("2.0")
    for role in (Role.READ_ONLY, Role.READ_WRITE):
        with as_user("hank", role):
            assert await _tags(pulls, vendor) == _each("1.0")


async def test_no_filter_of_a_customer_opens_more(vendor: Vendor, pulls: PullServicer, as_user: As) -> None:
    """Naming another customer, its user, token or version finds nothing, as if there were none."""
    parent = f"organizations/{vendor.organization.slug}"
    with as_user("hank", Role.ADMIN):
        for fields in (
            {"customer": f"{parent}/customers/initech"},
            {"customer": f"{parent}/customers/{vendor.initech_uid}"},
            {"user": f"{parent}/users/bill@example.com"},
            {"token_uid": "token of bill"},
            {"tag": "2.0"},
            {"version_range": ">=2"},
        ):
            assert await _tags(pulls, vendor, **fields) == _each(), fields
        assert await _tags(pulls, vendor, customer=f"{parent}/customers/globex") == _each("1.0", "1.1")
    with as_user("hank", Role.READ_ONLY):
        assert await _tags(pulls, vendor, user=f"{parent}/users/{COLLEAGUE}") == _each()


async def test_a_namesake_of_before_stays_unknown(
    vendor: Vendor, pulls: PullServicer, as_user: As, database: Database
) -> None:
    """A customer that is called as one that was deleted does not inherit its pulls."""
    heir = await add_customer(database, vendor.organization, "heir")
    await vendor.report(vendor.pull("ann", tag="4.0", customer_uid="deleted"))
    async with database.write() as session:
        await session.exec(update(PullName).where(col(PullName.uid) == "deleted").values(name="heir"))
    with acting_as(
        Caller(user_uid="u", role=Role.ADMIN, organization_id=vendor.organization.id, customer_id=heir.id)
    ):
        assert await _tags(pulls, vendor) == _each()
        parent = f"organizations/{vendor.organization.slug}"
        assert await _tags(pulls, vendor, customer=f"{parent}/customers/heir") == _each()


async def test_a_customer_is_told_what_it_holds_itself(
    vendor: Vendor, pulls: PullServicer, as_user: As
) -> None:
    """Who is still on a version: of other customers nothing is said."""
    request = pb.ListVersionHoldersRequest(
        parent=f"organizations/{vendor.organization.slug}/artifacts/team~app"
    )
    with as_user("bill", Role.ADMIN):
        (holder,) = (await pulls.ListVersionHolders(request, object())).version_holders
    assert (holder.customer_uid, holder.tag) == (vendor.initech_uid, "2.0")
