"""Customers and entitlements as callers of the API notice them."""

from collections.abc import Sequence

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from penstock.v1 import artifact_pb2, organization_pb2, user_pb2
from penstock.v1 import customer_pb2 as customers
from penstock.v1 import entitlement_pb2 as pb
from tests.servers.control_plane import Plane, refused

ACME = "organizations/acme"
GLOBEX, INITECH = f"{ACME}/customers/globex", f"{ACME}/customers/initech"
REDIS, NGINX = f"{ACME}/artifacts/redis", f"{ACME}/artifacts/team~nginx"
TRIAL = f"{ACME}/entitlements/trial"


@pytest.fixture
async def acme(plane: Plane) -> Plane:
    """An organization with two artifacts and two customers."""
    await plane.organization("acme")
    for path in ("redis", "team~nginx"):
        await plane.artifact("acme", path)
    for slug in ("globex", "initech"):
        await plane.root.customers.CreateCustomer(
            customers.CreateCustomerRequest(parent=ACME, customer_id=slug)
        )
    return plane


def _grant(artifact: str = REDIS, **rule: object) -> pb.Entitlement.Grant:
    return pb.Entitlement.Grant(artifact=artifact, tags=pb.TagRule(**rule or {"all_tags": True}))


async def _entitle(
    plane: Plane, slug: str = "trial", customer: str = GLOBEX, grants: Sequence[pb.Entitlement.Grant] = ()
) -> pb.Entitlement:
    return await plane.root.entitlements.CreateEntitlement(
        pb.CreateEntitlementRequest(
            parent=ACME,
            entitlement_id=slug,
            entitlement=pb.Entitlement(customer=customer, grants=grants or [_grant()]),
        )
    )


async def test_standard_methods_of_customers(acme: Plane) -> None:
    """Create, get, list in pages, update, delete; a second one of an id is refused."""
    api = acme.root.customers
    page = await api.ListCustomers(customers.ListCustomersRequest(parent=ACME, page_size=1))
    rest = await api.ListCustomers(
        customers.ListCustomersRequest(parent=ACME, page_token=page.next_page_token)
    )
    assert [each.name for each in (*page.customers, *rest.customers)] == [GLOBEX, INITECH]
    error = await refused(
        api.CreateCustomer(customers.CreateCustomerRequest(parent=ACME, customer_id="globex"))
    )
    assert (error.code.name, error.reason) == ("ALREADY_EXISTS", "CUSTOMER_EXISTS")
    updated = await api.UpdateCustomer(
        customers.UpdateCustomerRequest(customer=customers.Customer(name=GLOBEX, display_name="Globex Corp."))
    )
    assert await api.GetCustomer(customers.GetCustomerRequest(name=GLOBEX)) == updated
    error = await refused(
        api.DeleteCustomer(customers.DeleteCustomerRequest(name=GLOBEX, etag=page.customers[0].etag))
    )
    assert error.reason == "ETAG_MISMATCH"
    await api.DeleteCustomer(customers.DeleteCustomerRequest(name=GLOBEX, etag=updated.etag))
    error = await refused(api.GetCustomer(customers.GetCustomerRequest(name=GLOBEX)))
    assert (error.code.name, error.reason) == ("NOT_FOUND", "CUSTOMER_UNKNOWN")


async def test_a_customer_goes_with_all_that_is_its_own(acme: Plane) -> None:
    """Only if that is wanted: users, tokens and entitlements are deleted with it."""
    _, token = await acme.user("acme", "read_only", "ops@globex.example", customer=GLOBEX)
    await _entitle(acme)
    api = acme.root.customers
    error = await refused(api.DeleteCustomer(customers.DeleteCustomerRequest(name=GLOBEX)))
    assert (error.reason, error.metadata["users"], error.metadata["entitlements"]) == (
        "CUSTOMER_NOT_EMPTY",
        "1",
        "1",
    )
    await api.DeleteCustomer(customers.DeleteCustomerRequest(name=GLOBEX, force=True))
    listed = await acme.root.entitlements.ListEntitlements(pb.ListEntitlementsRequest(parent=ACME))
    assert not listed.entitlements
    ended = await acme.client(token)
    call = ended.users.ListUsers(user_pb2.ListUsersRequest(parent=ACME))
    assert (await refused(call)).code.name == "UNAUTHENTICATED"


async def test_standard_methods_of_entitlements(acme: Plane) -> None:
    """Create, get, list by customer and artifact, change its parts, delete."""
    api = acme.root.entitlements
    grants = [_grant(patterns=["7.*"], version_ranges=[">=8 <9"]), _grant(NGINX)]
    created = await _entitle(acme, grants=grants)
    assert (created.name, created.customer, list(created.grants)) == (TRIAL, GLOBEX, grants)
    assert await api.GetEntitlement(pb.GetEntitlementRequest(name=TRIAL)) == created
    other = await _entitle(acme, "full", INITECH)
    for request, expected in (
        (pb.ListEntitlementsRequest(parent=ACME), [other, created]),
        (pb.ListEntitlementsRequest(parent=ACME, customer=GLOBEX), [created]),
        (pb.ListEntitlementsRequest(parent=ACME, artifact=NGINX), [created]),
        (pb.ListEntitlementsRequest(parent=ACME, artifact=REDIS, customer=INITECH), [other]),
        (pb.ListEntitlementsRequest(parent=ACME, artifact=f"{ACME}/artifacts/none"), []),
    ):
        assert list((await api.ListEntitlements(request)).entitlements) == expected

    revision = acme.revision()
    updated = await api.UpdateEntitlement(
        pb.UpdateEntitlementRequest(
            entitlement=pb.Entitlement(
                name=TRIAL, grants=[_grant()], expire_time=Timestamp(seconds=2_000_000_000)
            ),
            update_mask=FieldMask(paths=["grants", "expire_time"]),
        )
    )
    assert list(updated.grants) == [_grant()]
    assert (updated.expire_time.seconds, updated.customer) == (2_000_000_000, GLOBEX)
    assert updated.etag != created.etag
    assert acme.revision() == revision + 1
    error = await refused(
        api.UpdateEntitlement(
            pb.UpdateEntitlementRequest(entitlement=pb.Entitlement(name=TRIAL, etag=created.etag))
        )
    )
    assert error.reason == "ETAG_MISMATCH"
    await api.DeleteEntitlement(pb.DeleteEntitlementRequest(name=TRIAL, etag=updated.etag))
    error = await refused(api.GetEntitlement(pb.GetEntitlementRequest(name=TRIAL)))
    assert (error.code.name, error.reason) == ("NOT_FOUND", "ENTITLEMENT_UNKNOWN")


async def test_everything_wrong_with_an_entitlement_is_told_at_once(acme: Plane) -> None:
    """Each field by its path, and nothing is kept."""
    error = await refused(
        acme.root.entitlements.CreateEntitlement(
            pb.CreateEntitlementRequest(
                parent=ACME,
                entitlement_id="Trial!",
                entitlement=pb.Entitlement(
                    customer="organizations/other/customers/globex",
                    grants=[
                        _grant("redis", patterns=["a/b"]),
                        _grant(REDIS, all_tags=True, patterns=["7"]),
                        _grant(REDIS, version_ranges=["newest"]),
                    ],
                ),
            )
        )
    )
    assert {item.field for item in error.violations} == {
        "entitlement_id",
        "entitlement.customer",
        "entitlement.grants[0].artifact",
        "entitlement.grants[0].tags.patterns[0]",
        "entitlement.grants[1].tags",
        "entitlement.grants[2].artifact",
        "entitlement.grants[2].tags.version_ranges[0]",
    }
    error = await refused(_entitle(acme, customer=f"{ACME}/customers/nobody"))
    assert error.reason == "CUSTOMER_UNKNOWN"
    error = await refused(_entitle(acme, grants=[_grant(f"{ACME}/artifacts/none")]))
    assert error.reason == "ARTIFACT_UNKNOWN"


async def test_the_first_entitlement_closes_the_organization(acme: Plane) -> None:
    """For good: deleting it opens nothing, and only an administrator opens it again."""
    api = acme.root.organizations

    async def access() -> int:
        found = await api.GetOrganization(organization_pb2.GetOrganizationRequest(name=ACME))
        return found.customer_access

    assert await access() == organization_pb2.Organization.OPEN
    preview = await acme.root.entitlements.CreateEntitlement(
        pb.CreateEntitlementRequest(
            parent=ACME,
            entitlement_id="trial",
            entitlement=pb.Entitlement(customer=GLOBEX, grants=[_grant()]),
            validate_only=True,
        )
    )
    assert (preview.name, preview.uid) == (TRIAL, "")
    assert await access() == organization_pb2.Organization.OPEN
    await _entitle(acme)
    assert await access() == organization_pb2.Organization.ENTITLED
    await acme.root.entitlements.DeleteEntitlement(pb.DeleteEntitlementRequest(name=TRIAL))
    assert await access() == organization_pb2.Organization.ENTITLED
    # A replacement of everything that says nothing of it opens nothing.
    await api.UpdateOrganization(
        organization_pb2.UpdateOrganizationRequest(
            organization=organization_pb2.Organization(name=ACME), update_mask=FieldMask(paths=["*"])
        )
    )
    assert await access() == organization_pb2.Organization.ENTITLED
    await api.UpdateOrganization(
        organization_pb2.UpdateOrganizationRequest(
            organization=organization_pb2.Organization(
                name=ACME, customer_access=organization_pb2.Organization.OPEN
            )
        )
    )
    assert await access() == organization_pb2.Organization.OPEN


async def test_an_artifact_takes_its_grants_with_it(acme: Plane) -> None:
    """What is left of the entitlement stays, and allows nothing of the artifact."""
    await _entitle(acme, grants=[_grant(), _grant(NGINX)])
    await acme.root.artifacts.DeleteArtifact(artifact_pb2.DeleteArtifactRequest(name=REDIS))
    left = await acme.root.entitlements.GetEntitlement(pb.GetEntitlementRequest(name=TRIAL))
    assert [grant.artifact for grant in left.grants] == [NGINX]


async def test_a_customers_administrator_manages_its_own_users_and_nothing_else(acme: Plane) -> None:
    """Users are made for the own customer alone, and others do not exist."""
    member, _ = await acme.user("acme", "read_only")
    stranger, _ = await acme.user("acme", "read_only", "x@initech.example", customer=INITECH)
    _, token = await acme.user("acme", "admin", "boss@globex.example", customer=GLOBEX)
    me = await acme.client(token)
    created = await me.users.CreateUser(
        user_pb2.CreateUserRequest(parent=ACME, user=user_pb2.User(email="ops@globex.example"))
    )
    assert created.customer == GLOBEX
    made = await me.users.CreateToken(user_pb2.CreateTokenRequest(parent=created.name))
    listed = await me.users.ListUsers(user_pb2.ListUsersRequest(parent=ACME))
    assert [user.email for user in listed.users] == ["boss@globex.example", "ops@globex.example"]
    tokens = await me.users.ListTokens(user_pb2.ListTokensRequest(parent=f"{ACME}/users/-"))
    assert made.token.name in {each.name for each in tokens.tokens}
    assert len(tokens.tokens) == 2
    for other in (member, stranger):
        for call in (
            me.users.GetUser(user_pb2.GetUserRequest(name=other.name)),
            me.users.UpdateUser(
                user_pb2.UpdateUserRequest(user=user_pb2.User(name=other.name, display_name="mine"))
            ),
            me.users.DeleteUser(user_pb2.DeleteUserRequest(name=other.name)),
            me.users.CreateToken(user_pb2.CreateTokenRequest(parent=other.name)),
            me.users.ListTokens(user_pb2.ListTokensRequest(parent=other.name)),
        ):
            assert (await refused(call)).reason == "USER_UNKNOWN"
    error = await refused(
        me.users.CreateUser(
            user_pb2.CreateUserRequest(
                parent=ACME, user=user_pb2.User(email="y@initech.example", customer=INITECH)
            )
        )
    )
    assert error.reason == "CUSTOMER_UNKNOWN"


async def test_a_customers_user_sees_what_is_its_own(acme: Plane) -> None:
    """Itself, its customer, its entitlements; no artifact, no other customer, no other user."""
    await _entitle(acme)
    other = await _entitle(acme, "other", INITECH)
    await acme.user("acme", "admin", "boss@globex.example", customer=GLOBEX)
    mine, token = await acme.user("acme", "read_write", "ops@globex.example", customer=GLOBEX)
    me = await acme.client(token)
    assert [
        each.name for each in (await me.users.ListUsers(user_pb2.ListUsersRequest(parent=ACME))).users
    ] == [mine.name]
    found = await me.customers.ListCustomers(customers.ListCustomersRequest(parent=ACME))
    assert [each.name for each in found.customers] == [GLOBEX]
    entitled = await me.entitlements.ListEntitlements(pb.ListEntitlementsRequest(parent=ACME))
    assert [each.name for each in entitled.entitlements] == [TRIAL]
    for call, reason in (
        (me.entitlements.GetEntitlement(pb.GetEntitlementRequest(name=other.name)), "ENTITLEMENT_UNKNOWN"),
        (me.customers.GetCustomer(customers.GetCustomerRequest(name=INITECH)), "CUSTOMER_UNKNOWN"),
        (me.artifacts.GetArtifact(artifact_pb2.GetArtifactRequest(name=REDIS)), "NOT_FOR_CUSTOMERS"),
        (me.artifacts.ListArtifacts(artifact_pb2.ListArtifactsRequest(parent=ACME)), "NOT_FOR_CUSTOMERS"),
        (me.users.CreateToken(user_pb2.CreateTokenRequest(parent=mine.name)), "ROLE_TOO_LOW"),
    ):
        assert (await refused(call)).reason == reason
