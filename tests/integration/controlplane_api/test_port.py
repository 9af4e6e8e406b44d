"""What general clients see on the gRPC port: reflection, health, error details, limits."""

import asyncio

import grpc
import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from clients.control.client import ControlClient
from clients.process.exits import ConfigurationError
from controlplane.server import running
from controlplane.settings import Settings
from penstock.v1 import node_pb2, organization_pb2
from penstock.v1.organization_pb2_grpc import OrganizationServiceStub
from tests.servers.control_plane import Plane, refused

NOUNS = ("Audit", "Customer", "Entitlement", "Organization", "User", "Credential", "Artifact", "Pull", "Node")
SERVICES = {f"penstock.v1.{noun}Service" for noun in NOUNS}


async def _reflect(
    address: str, request: reflection_pb2.ServerReflectionRequest
) -> reflection_pb2.ServerReflectionResponse:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        async for response in stub.ServerReflectionInfo(iter([request])):
            return response
    raise AssertionError("no answer")


async def test_reflection_lists_every_service_without_a_token(plane: Plane) -> None:
    """`grpcurl list` works as it is."""
    answer = await _reflect(
        str(plane.running.grpc), reflection_pb2.ServerReflectionRequest(list_services="*")
    )
    names = {service.name for service in answer.list_services_response.service}
    assert names == SERVICES | {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}


@pytest.mark.parametrize(
    "symbol",
    [
        "penstock.v1.ArtifactService",
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
        "google.rpc.RetryInfo",
        "google.api.http",
    ],
)
async def test_reflection_knows_the_types(plane: Plane, symbol: str) -> None:
    """Services, and the error details that they answer with."""
    answer = await _reflect(
        str(plane.running.grpc), reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    )
    files = [
        FileDescriptorProto.FromString(content)
        for content in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert files, answer
    assert files[0].package == symbol.rpartition(".")[0]


async def test_health_of_each_service(plane: Plane) -> None:
    """All serve, the server as a whole too; another name is unknown."""
    async with grpc.aio.insecure_channel(str(plane.running.grpc)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("", *SERVICES):
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(service="nonsense"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_errors_carry_a_status_that_libraries_read(plane: Plane) -> None:
    """Code and message are those of the call; ErrorInfo and BadRequest unpack."""
    async with grpc.aio.insecure_channel(str(plane.running.grpc)) as channel:
        call = OrganizationServiceStub(channel).CreateOrganization(
            organization_pb2.CreateOrganizationRequest(organization_id="Ä"),
            metadata=(("authorization", f"Bearer {plane.root_token}"),),
        )
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        status = await rpc_status.aio.from_call(call)
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert (info.domain, info.reason) == ("penstock.dev", "INVALID_REQUEST")
    assert [item.field for item in bad.field_violations] == ["organization_id"]


async def test_a_method_that_does_not_exist(plane: Plane) -> None:
    """It is unimplemented, whoever asks."""
    async with grpc.aio.insecure_channel(str(plane.running.grpc)) as channel:
        call = channel.unary_unary("/penstock.v1.ArtifactService/Nonsense")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_stopping_ends_streams_and_says_so(settings: Settings) -> None:
    """A node that watches is told to call again, at once and not after the grace."""
    async with asyncio.timeout(8):
        async with running(settings) as started:
            token = (settings.data_dir / "node-token").read_text().strip()
            node = ControlClient(str(started.grpc), token)
            messages = aiter(node.nodes.WatchConfig(node_pb2.WatchConfigRequest()))
            assert (await anext(messages)).HasField("snapshot")
            waiting = asyncio.create_task(refused(_next(messages)))
            await asyncio.sleep(0)
        error = await waiting
        await node.close()
    assert (error.code.name, error.reason) == ("UNAVAILABLE", "SHUTTING_DOWN")
    assert error.retry_after == 1


async def _next(messages: object) -> object:
    return await anext(messages)  # type: ignore[call-overload]  # an iterator of messages


@pytest.mark.parametrize("kind", ["grpc", "http"])
async def test_a_taken_port_is_told(plane: Plane, settings: Settings, kind: str) -> None:
    """The second one on a port does not start, and names the setting."""
    taken = str(getattr(plane.running, kind))
    second = settings.model_copy(
        update={f"{kind}_listen": taken, "data_dir": settings.data_dir.with_name("second")}
    )
    with pytest.raises(ConfigurationError, match=f"{taken} is taken.*PENSTOCK_{kind.upper()}_LISTEN"):
        async with running(second):
            pass
