"""Who may do what, over the real port."""

import base64

import grpc
import grpc.aio
import pytest

from clients.control.errors import ControlError, translate
from penstock.v1 import artifact_pb2, node_pb2, organization_pb2, user_pb2
from penstock.v1.organization_pb2_grpc import OrganizationServiceStub
from tests.servers.control_plane import Plane, refused

ACME, OTHER = "organizations/acme", "organizations/other"


async def _call(address: str, authorization: str | None) -> str:
    """List organizations with this authorization, and give the status code's name."""
    metadata = () if authorization is None else (("authorization", authorization),)
    async with grpc.aio.insecure_channel(address) as channel:
        try:
            await OrganizationServiceStub(channel).ListOrganizations(
                organization_pb2.ListOrganizationsRequest(), metadata=metadata
            )
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name} {translate(error).reason}"
    return "OK"


def _without_name(error: ControlError) -> str:
    return str(error).replace(error.metadata["name"], "it")


async def test_a_token_is_taken_in_three_forms(plane: Plane) -> None:
    """Bearer, AccessToken, and the password of Basic; nothing else."""
    address, token = str(plane.running.grpc), plane.root_token
    basic = base64.b64encode(f"-:{token}".encode()).decode()
    for authorization in (f"Bearer {token}", f"AccessToken {token}", f"Basic {basic}"):
        assert await _call(address, authorization) == "OK"
    assert await _call(address, None) == "UNAUTHENTICATED CREDENTIALS_MISSING"
    assert await _call(address, token) == "UNAUTHENTICATED CREDENTIALS_MISSING"
    wrong = token[:-1] + ("y" if token.endswith("x") else "x")
    assert await _call(address, f"Bearer {wrong}") == "UNAUTHENTICATED TOKEN_INVALID"


async def test_who_goes_on_with_bad_tokens_is_slowed_down(plane: Plane) -> None:
    """An address that tries many is told to wait; a good token from there is taken all the same."""
    address = str(plane.running.grpc)
    answers = [await _call(address, "Bearer pst_wrong") for _ in range(25)]
    assert answers[0] == "UNAUTHENTICATED TOKEN_INVALID"
    assert answers[-1] == "RESOURCE_EXHAUSTED TOO_MANY_SIGN_INS"
    assert await _call(address, f"Bearer {plane.root_token}") == "OK"


async def test_another_organization_does_not_exist(plane: Plane) -> None:
    """What is foreign and what is nowhere get the same code, reason and sentence."""
    await plane.organization("acme")
    await plane.organization("other")
    artifact = await plane.artifact("other", "app")
    stranger, _ = await plane.user("other", "read_only")
    me = await plane.member("acme", "admin")
    foreign_and_nowhere = [
        (
            me.organizations.GetOrganization(organization_pb2.GetOrganizationRequest(name=name))
            for name in (OTHER, "organizations/nowhere")
        ),
        (
            me.artifacts.GetArtifact(artifact_pb2.GetArtifactRequest(name=name))
            for name in (artifact.name, f"{OTHER}/artifacts/nowhere")
        ),
        (
            me.artifacts.SyncArtifact(artifact_pb2.SyncArtifactRequest(name=name))
            for name in (f"artifacts/{artifact.uid}", "artifacts/01234567-89ab-4cde-8f01-23456789abcd")
        ),
        (
            me.artifacts.ListTags(artifact_pb2.ListTagsRequest(parent=parent))
            for parent in (artifact.name, f"{OTHER}/artifacts/nowhere")
        ),
        (
            me.users.GetUser(user_pb2.GetUserRequest(name=name))
            for name in (stranger.name, f"{OTHER}/users/nobody@example.com")
        ),
        (
            me.users.CreateUser(
                user_pb2.CreateUserRequest(parent=parent, user=user_pb2.User(email="a@example.com"))
            )
            for parent in (OTHER, "organizations/nowhere")
        ),
        (
            me.users.ListTokens(user_pb2.ListTokensRequest(parent=f"{parent}/users/-"))
            for parent in (OTHER, "organizations/nowhere")
        ),
    ]
    for foreign, nowhere in foreign_and_nowhere:
        first, second = await refused(foreign), await refused(nowhere)
        assert first.code.name == second.code.name == "NOT_FOUND"
        assert first.reason == second.reason
        assert _without_name(first) == _without_name(second)
    listed = await me.organizations.ListOrganizations(organization_pb2.ListOrganizationsRequest())
    assert [item.name for item in listed.organizations] == [ACME]


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("read_only", {"get"}),
        ("read_write", {"get", "write"}),
        ("admin", {"get", "write", "users", "rename"}),
    ],
)
async def test_roles_in_ones_own_organization(plane: Plane, role: str, allowed: set[str]) -> None:
    """Readers read, writers manage artifacts, administrators users; none the installation."""
    await plane.organization("acme")
    artifact = await plane.artifact("acme", "app")
    me = await plane.member("acme", role)
    calls = {
        "get": me.artifacts.GetArtifact(artifact_pb2.GetArtifactRequest(name=artifact.name)),
        "write": me.artifacts.UpdateArtifact(
            artifact_pb2.UpdateArtifactRequest(
                artifact=artifact_pb2.Artifact(name=artifact.name, display_name="new")
            )
        ),
        "users": me.users.CreateUser(
            user_pb2.CreateUserRequest(parent=ACME, user=user_pb2.User(email="new@example.com"))
        ),
        "rename": me.organizations.UpdateOrganization(
            organization_pb2.UpdateOrganizationRequest(
                organization=organization_pb2.Organization(name=ACME, display_name="new")
            )
        ),
        "installation": me.organizations.CreateOrganization(
            organization_pb2.CreateOrganizationRequest(organization_id="mine")
        ),
        "nodes": me.nodes.ListNodes(node_pb2.ListNodesRequest()),
        "node": me.nodes.ReportStatus(node_pb2.ReportStatusRequest()),
    }
    for kind, call in calls.items():
        if kind in allowed:
            await call
            continue
        error = await refused(call)
        assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "ROLE_TOO_LOW"), kind


async def test_a_node_may_do_what_nodes_do(plane: Plane) -> None:
    """Its own methods answer, all others are refused; deleted, it is refused everything."""
    await plane.organization("acme")
    node = await plane.node("one")
    await node.nodes.ReportStatus(node_pb2.ReportStatusRequest(revision=1, version="1"))
    for call in (
        node.organizations.ListOrganizations(organization_pb2.ListOrganizationsRequest()),
        node.nodes.ListNodes(node_pb2.ListNodesRequest()),
    ):
        assert (await refused(call)).code.name == "PERMISSION_DENIED"
    seen = await plane.root.nodes.GetNode(node_pb2.GetNodeRequest(name="nodes/one"))
    assert (seen.revision, seen.version) == (1, "1")
    await plane.root.nodes.DeleteNode(node_pb2.DeleteNodeRequest(name="nodes/one"))
    error = await refused(node.nodes.ReportStatus(node_pb2.ReportStatusRequest()))
    assert error.code.name == "UNAUTHENTICATED"


async def test_standard_methods_of_nodes(plane: Plane) -> None:
    """The local node is there from the first start; others come and go by name."""
    api = plane.root.nodes
    created = await api.CreateNode(node_pb2.CreateNodeRequest(node_id="eu-1"))
    assert created.secret.startswith("psn_")
    assert not created.node.HasField("last_seen_time")
    listed = await api.ListNodes(node_pb2.ListNodesRequest())
    assert [item.name for item in listed.nodes] == ["nodes/eu-1", "nodes/local"]
    error = await refused(api.CreateNode(node_pb2.CreateNodeRequest(node_id="eu-1")))
    assert (error.code.name, error.reason) == ("ALREADY_EXISTS", "NODE_EXISTS")
    preview = await api.CreateNode(node_pb2.CreateNodeRequest(node_id="eu-2", validate_only=True))
    assert (preview.node.name, preview.secret) == ("nodes/eu-2", "")
    await api.DeleteNode(node_pb2.DeleteNodeRequest(name="nodes/eu-1"))
    error = await refused(api.GetNode(node_pb2.GetNodeRequest(name="nodes/eu-1")))
    assert (error.code.name, error.reason) == ("NOT_FOUND", "NODE_UNKNOWN")
    error = await refused(api.CreateNode(node_pb2.CreateNodeRequest(node_id="EU_1")))
    assert [item.field for item in error.violations] == ["node_id"]


async def test_a_stream_ends_when_its_token_is_revoked(plane: Plane) -> None:
    """A watching node that is deleted gets nothing more of the configuration."""
    node = await plane.node("one")
    call = node.nodes.WatchConfig(node_pb2.WatchConfigRequest())
    messages = aiter(call)
    assert (await anext(messages)).HasField("snapshot")
    await plane.root.nodes.DeleteNode(node_pb2.DeleteNodeRequest(name="nodes/one"))
    await plane.organization("secret")

    async def rest() -> None:
        async for message in messages:
            raise AssertionError(f"a deleted node was told {message}")

    error = await refused(rest())
    assert error.code.name == "UNAUTHENTICATED"
