"""The client and its channel: who calls, how large, how long."""

import grpc
import pytest

from clients.control.channel import MAX_MESSAGE_BYTES, connect
from clients.control.client import ControlClient
from clients.control.errors import Unreachable, translated
from penstock.v1.artifact_pb2 import ListTagsRequest, ListTagsResponse, SyncJob, Tag, WatchSyncJobRequest
from penstock.v1.node_pb2 import ResolveReferenceRequest, ResolveReferenceResponse
from penstock.v1.organization_pb2 import GetOrganizationRequest, Organization
from penstock.v1.user_pb2 import GetUserRequest, User
from tests.fakes.scripted_api import Refusal, Silence


async def test_every_service_is_there(api, control):
    """One client for nodes, the command line and users."""
    api.answer("GetOrganization", Organization(name="organizations/acme"))
    api.answer("GetUser", User(email="a@b"))
    api.answer("ListTags", ListTagsResponse(tags=[Tag(digest="d")]))
    api.answer("ResolveReference", ResolveReferenceResponse(digest="e"))
    assert (
        await control.organizations.GetOrganization(GetOrganizationRequest())
    ).name == "organizations/acme"
    assert (await control.users.GetUser(GetUserRequest())).email == "a@b"
    assert (await control.artifacts.ListTags(ListTagsRequest())).tags[0].digest == "d"
    assert (await control.nodes.ResolveReference(ResolveReferenceRequest())).digest == "e"


async def test_every_call_says_who_calls(api, control, token):
    """Unary calls and streams, with the caller's own metadata kept."""
    api.answer("GetOrganization", Organization())
    api.answer("WatchSyncJob", [SyncJob()])
    await control.organizations.GetOrganization(GetOrganizationRequest(), metadata=(("x-mine", "1"),))
    assert [job async for job in control.artifacts.WatchSyncJob(WatchSyncJobRequest())] == [SyncJob()]
    assert [call.metadata["authorization"] for call in api.calls] == [f"Bearer {token}"] * 2
    assert api.calls[0].metadata["x-mine"] == "1"


async def test_a_large_manifest_fits(api, control):
    """4 MiB is gRPC's own limit, and that of a manifest: with its envelope it has to pass."""
    content = b"x" * (4 << 20)
    api.answer("ResolveReference", ResolveReferenceResponse(content=content))
    answer = await control.nodes.ResolveReference(ResolveReferenceRequest())
    assert answer.content == content
    assert len(content) < MAX_MESSAGE_BYTES


async def test_many_violations_fit(api, control):
    """Error details beyond gRPC's usual 8 KiB of metadata arrive whole."""
    violations = [(f"field_{number}", "wrong " * 30) for number in range(100)]
    api.answer("GetUser", Refusal(grpc.StatusCode.INVALID_ARGUMENT, "Wrong.", "INVALID_REQUEST", violations))
    with pytest.raises(Exception, match="Wrong") as error, translated():
        await control.users.GetUser(GetUserRequest())
    assert len(error.value.violations) == 100


async def test_a_time_out_of_ones_own(api, control):
    """Is kept, and is told apart from an answer of the server."""
    api.answer("GetUser", Silence())
    with pytest.raises(Unreachable) as error, translated():
        await control.users.GetUser(GetUserRequest(), timeout=0.05)
    assert error.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_proxies_are_for_the_way_out(api, token, monkeypatch):
    """A proxy in the environment is not asked for the way to the control plane."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    api.answer("GetUser", User(email="a@b"))
    async with ControlClient(api.address, token) as control:
        assert (await control.users.GetUser(GetUserRequest())).email == "a@b"


async def test_nobody_there(api, token):
    """A call does not wait until its time-out for a control plane that does not listen."""
    await api.stop()
    async with ControlClient(api.address, token) as control:
        with pytest.raises(Unreachable) as error, translated():
            await control.users.GetUser(GetUserRequest())
    assert error.value.code == grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("token", ["a\nb", "ä", "a\x00"])
def test_a_token_that_cannot_be_sent(token):
    """Refused without repeating it."""
    with pytest.raises(ValueError, match="token") as error:
        connect("127.0.0.1:1", token)
    assert token not in str(error.value)
