"""The table method x who, and the check against it."""

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from controlplane.api.authorize import WHO_MAY, Who, authorize
from controlplane.api.caller import Caller
from controlplane.api.errors import ApiError
from controlplane.model.roles import Role, effective_role
from controlplane.model.tables import User
from penstock.v1 import (
    artifact_pb2,
    audit_pb2,
    credential_pb2,
    customer_pb2,
    entitlement_pb2,
    node_pb2,
    organization_pb2,
    pull_pb2,
    user_pb2,
)
from tests.fakes.rows import NOW

FILES = (
    artifact_pb2,
    audit_pb2,
    credential_pb2,
    customer_pb2,
    entitlement_pb2,
    node_pb2,
    organization_pb2,
    pull_pb2,
    user_pb2,
    health_pb2,
    reflection_pb2,
)
METHODS = {
    f"/{service.full_name}/{method.name}"
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}

ROOT = Caller(user_uid="0", email="admin", role=Role.ADMIN)
ROOT_READER = Caller(user_uid="0", email="admin", role=Role.READ_ONLY)
ADMIN = Caller(user_uid="1", email="a@x", role=Role.ADMIN, organization_id=1)
WRITER = Caller(user_uid="2", email="w@x", role=Role.READ_WRITE, organization_id=1)
READER = Caller(user_uid="3", email="r@x", role=Role.READ_ONLY, organization_id=1)
THEIR_ADMIN = Caller(user_uid="4", email="a@g", role=Role.ADMIN, organization_id=1, customer_id=7)
THEIR_WRITER = Caller(user_uid="5", email="w@g", role=Role.READ_WRITE, organization_id=1, customer_id=7)
THEIR_READER = Caller(user_uid="6", email="r@g", role=Role.READ_ONLY, organization_id=1, customer_id=7)
NODE = Caller(node_uid="n")
CUSTOMERS = (THEIR_ADMIN, THEIR_WRITER, THEIR_READER)
ALL = (ROOT, ROOT_READER, ADMIN, WRITER, READER, *CUSTOMERS, NODE)

ALLOWED = {
    Who.ANYBODY: set(ALL),
    Who.READER: {ROOT, ROOT_READER, ADMIN, WRITER, READER},
    Who.WRITER: {ROOT, ADMIN, WRITER},
    Who.ADMIN: {ROOT, ADMIN},
    Who.INSTALLATION: {ROOT},
    Who.NODE: {NODE},
}
ALLOWED_OF_CUSTOMERS = {
    None: set(),
    Who.READER: set(CUSTOMERS),
    Who.ADMIN: {THEIR_ADMIN},
}
# All that users of customers may call; whatever is added to it is a decision.
OF_CUSTOMERS = {
    "GetCustomer": Who.READER,
    "ListCustomers": Who.READER,
    "GetEntitlement": Who.READER,
    "ListEntitlements": Who.READER,
    "GetUser": Who.READER,
    "ListUsers": Who.READER,
    "CreateUser": Who.ADMIN,
    "UpdateUser": Who.ADMIN,
    "DeleteUser": Who.ADMIN,
    "GetToken": Who.READER,
    "ListTokens": Who.READER,
    "CreateToken": Who.ADMIN,
    "DeleteToken": Who.ADMIN,
    "ListPulls": Who.READER,
    "SumPulls": Who.READER,
    "ListVersionHolders": Who.ADMIN,
    "ExportPulls": Who.READER,
}


def test_every_method_has_a_row_and_every_row_a_method() -> None:
    """A new method cannot be forgotten here."""
    assert set(WHO_MAY) == METHODS


@pytest.mark.parametrize("method", sorted(WHO_MAY))
def test_only_who_may_passes(method: str) -> None:
    """Each method lets the right callers through, and nobody else."""
    row = WHO_MAY[method]
    for who in ALL:
        if who in ALLOWED[row.member] | ALLOWED_OF_CUSTOMERS[row.customer]:
            authorize(method, who)
            continue
        with pytest.raises(ApiError) as caught:
            authorize(method, who)
        assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
        assert method.rpartition("/")[2] in str(caught.value)


def test_customers_may_call_what_is_about_themselves() -> None:
    """Nothing about artifacts, credentials, the organization, nodes or the audit log is for them."""
    rows = {method.rpartition("/")[2]: row.customer for method, row in WHO_MAY.items() if row.customer}
    assert rows == OF_CUSTOMERS


def test_a_method_without_a_row_is_for_nobody() -> None:
    """Forgetting a row closes a method."""
    with pytest.raises(ApiError):
        authorize("/penstock.v1.ArtifactService/Forgotten", ROOT)


@pytest.mark.parametrize(
    ("user", "token", "effective"),
    [
        (Role.ADMIN, None, Role.ADMIN),
        (Role.ADMIN, Role.READ_ONLY, Role.READ_ONLY),
        (Role.READ_ONLY, Role.ADMIN, Role.READ_ONLY),
        (Role.READ_WRITE, Role.READ_WRITE, Role.READ_WRITE),
    ],
)
def test_the_lower_role_counts(user: Role, token: Role | None, effective: Role) -> None:
    """A token lowers its user's role, and never raises it."""
    assert effective_role(user, token) is effective


def test_who_sees_which_organization() -> None:
    """Members see theirs, the installation's administrators all, nodes none."""
    assert [who.may_see(1) for who in ALL] == [True] * 8 + [False]
    assert [who.may_see(2) for who in ALL] == [True] * 2 + [False] * 7
    assert not any(who.may_see(None) for who in (ADMIN, WRITER, READER, *CUSTOMERS, NODE))


def _user(uid: str, customer_id: int | None, organization_id: int = 1) -> User:
    return User(
        uid=uid,
        organization_id=organization_id,
        customer_id=customer_id,
        email="x",
        role=1,
        create_time=NOW,
        update_time=NOW,
    )


def test_who_sees_which_user() -> None:
    """A customer's administrator sees its users, its others themselves, and none of them a member."""
    member, own, other = _user("1", None), _user("6", 7), _user("9", 8)
    assert [who.may_see_user(member) for who in ALL] == [True] * 5 + [False] * 4
    assert [who.may_see_user(own) for who in ALL] == [True] * 5 + [True, False, True, False]
    assert [who.may_see_user(other) for who in ALL] == [True] * 5 + [False] * 4
    # The id of a customer alone opens nothing in another organization.
    assert not THEIR_ADMIN.may_see_user(_user("6", 7, organization_id=2))
    assert [who.may_see_customer(1, 7) for who in ALL] == [True] * 8 + [False]
    assert [who.may_see_customer(1, 8) for who in ALL] == [True] * 5 + [False] * 4
