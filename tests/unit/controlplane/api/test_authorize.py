"""The table method x who, and the check against it."""

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from controlplane.api.authorize import WHO_MAY, Who, authorize
from controlplane.api.caller import Caller
from controlplane.api.errors import ApiError
from controlplane.model.roles import Role, effective_role
from penstock.v1 import artifact_pb2, credential_pb2, node_pb2, organization_pb2, pull_pb2, user_pb2

FILES = (
    artifact_pb2,
    credential_pb2,
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
NODE = Caller(node_uid="n")
ALL = (ROOT, ROOT_READER, ADMIN, WRITER, READER, NODE)

ALLOWED = {
    Who.ANYBODY: set(ALL),
    Who.READER: {ROOT, ROOT_READER, ADMIN, WRITER, READER},
    Who.WRITER: {ROOT, ADMIN, WRITER},
    Who.ADMIN: {ROOT, ADMIN},
    Who.INSTALLATION: {ROOT},
    Who.NODE: {NODE},
}


def test_every_method_has_a_row_and_every_row_a_method() -> None:
    """A new method cannot be forgotten here."""
    assert set(WHO_MAY) == METHODS


@pytest.mark.parametrize("method", sorted(WHO_MAY))
def test_only_who_may_passes(method: str) -> None:
    """Each method lets the right callers through, and nobody else."""
    for who in ALL:
        if who in ALLOWED[WHO_MAY[method]]:
            authorize(method, who)
            continue
        with pytest.raises(ApiError) as caught:
            authorize(method, who)
        assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
        assert method.rpartition("/")[2] in str(caught.value)


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
    assert [who.may_see(1) for who in ALL] == [True, True, True, True, True, False]
    assert [who.may_see(2) for who in ALL] == [True, True, False, False, False, False]
    assert not any(who.may_see(None) for who in (ADMIN, WRITER, READER, NODE))
