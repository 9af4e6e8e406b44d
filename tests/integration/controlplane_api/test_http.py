"""The HTTP port: health, metrics, and the route of scripts."""

import asyncio
import base64
import functools
import json
import logging
import socket
from typing import Any

import pytest
from pydantic import SecretStr

from controlplane.server import running
from controlplane.settings import Settings
from penstock.v1 import artifact_pb2, user_pb2
from tests.fakes.descriptors import none_left
from tests.servers import http
from tests.servers.control_plane import Plane


async def _request(plane: Plane, method: str, path: str, **options: Any) -> http.Answer:
    call = functools.partial(http.request, str(plane.running.http), method, path, **options)
    return await asyncio.to_thread(call)


async def _sync(plane: Plane, uid: str, authorization: str) -> http.Answer:
    headers = {"Authorization": authorization} if authorization else {}
    return await _request(plane, "POST", f"/api/v1/artifacts/{uid}/sync", headers=headers)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health(plane: Plane, path: str) -> None:
    """Both answer 200 in JSON, to HEAD as well, and name no server."""
    answer = await _request(plane, "GET", path)
    assert answer.status == 200
    assert answer.json()
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "Server" not in answer.headers
    assert (await _request(plane, "HEAD", path)).body == b""


async def test_readiness_says_what_is_missing(plane: Plane) -> None:
    """Without its tables, the control plane is not ready, and still alive."""
    for file in plane.data.glob("controlplane.db*"):
        file.write_bytes(b"nothing" * 1000)
    answer = await _request(plane, "GET", "/readyz")
    assert answer.status == 503
    assert answer.json() == {"ready": False, "problems": {"database": "does not answer"}, "details": {}}
    assert (await _request(plane, "GET", "/healthz")).status == 200


async def test_metrics(plane: Plane) -> None:
    """Calls are counted by method and code, requests by route, and the build is told."""
    await plane.organization("acme")
    await _request(plane, "GET", "/nonsense")
    text = (await _request(plane, "GET", "/metrics")).body.decode()
    create = 'method="penstock.v1.OrganizationService/CreateOrganization"'
    assert f'penstock_grpc_calls_total{{code="OK",{create}}} 1.0' in text
    assert f"penstock_grpc_call_duration_seconds_count{{{create}}} 1.0" in text
    assert 'penstock_http_requests_total{route="NothingHere",status="404"} 1.0' in text
    assert 'penstock_build_info{python="3.' in text
    openmetrics = await _request(
        plane, "GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    assert openmetrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert openmetrics.body.endswith(b"# EOF\n")


async def test_scripts_start_a_sync(plane: Plane) -> None:
    """`AccessToken`, Bearer and Basic all do; the answer is the SyncJob."""
    await plane.organization("acme")
    artifact = await plane.artifact("acme", "app")
    _, token = await plane.user("acme", "read_write")
    basic = base64.b64encode(f"x:{token}".encode()).decode()
    for authorization in (f"AccessToken {token}", f"Bearer {token}", f"Basic {basic}"):
        answer = await _sync(plane, artifact.uid, authorization)
        assert answer.status == 200
        job = answer.json()
        assert job["name"].startswith(f"{artifact.name}/syncJobs/")
        assert job["state"] in {"PENDING", "RUNNING", "FAILED"}
        assert job["tagsTotal"] == 0
    request = artifact_pb2.GetSyncJobRequest(name=job["name"])
    assert (await plane.root.artifacts.GetSyncJob(request)).uid == job["uid"]


async def test_errors_are_a_status_in_json(plane: Plane) -> None:
    """Code, message and details as in gRPC, under the status of HTTP."""
    await plane.organization("acme")
    artifact = await plane.artifact("acme", "app")
    await plane.organization("other")
    _, reader = await plane.user("acme", "read_only")
    _, stranger = await plane.user("other", "admin")
    nobody = "01234567-89ab-4cde-8f01-23456789abcd"
    for uid, authorization, status, code, reason in (
        (artifact.uid, "", 401, 16, "CREDENTIALS_MISSING"),
        (artifact.uid, "AccessToken nonsense", 401, 16, "TOKEN_INVALID"),
        (artifact.uid, f"Bearer {reader}", 403, 7, "ROLE_TOO_LOW"),
        (artifact.uid, f"Bearer {stranger}", 404, 5, "ARTIFACT_UNKNOWN"),
        (nobody, f"Bearer {plane.root_token}", 404, 5, "ARTIFACT_UNKNOWN"),
        ("nonsense", f"Bearer {plane.root_token}", 400, 3, "INVALID_REQUEST"),
    ):
        answer = await _sync(plane, uid, authorization)
        assert answer.status == status
        body = answer.json()
        assert (body["code"], body["details"][0]["reason"]) == (code, reason)
        assert body["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
        assert body["message"]
        assert ("WWW-Authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/api/v1/organizations/x/../..", 404),
        ("POST", "/api/v1/artifacts//sync", 404),
        ("POST", "/healthz", 405),
        ("GET", "/api/v1/artifacts/x/sync", 405),
        ("DELETE", "/metrics", 405),
    ],
)
async def test_other_paths_and_methods(plane: Plane, method: str, path: str, status: int) -> None:
    """They get the same kind of error; 405 says what is allowed."""
    answer = await _request(plane, method, path)
    assert answer.status == status
    assert answer.json()["details"][0]["domain"] == "penstock.dev"
    if status == 405:
        assert method not in answer.headers["Allow"]
        assert answer.headers["Allow"]


async def test_a_revoked_token_starts_no_sync(plane: Plane) -> None:
    """The route looks tokens up like every method does."""
    await plane.organization("acme")
    artifact = await plane.artifact("acme", "app")
    user, token = await plane.user("acme", "read_write")
    assert (await _sync(plane, artifact.uid, f"Bearer {token}")).status == 200
    await plane.root.users.DeleteUser(user_pb2.DeleteUserRequest(name=user.name))
    answer = await _sync(plane, artifact.uid, f"Bearer {token}")
    assert answer.status == 401
    assert token not in json.dumps(answer.json())


async def test_metrics_want_the_token_that_is_set(settings: Settings) -> None:
    """Without it they are refused as the API refuses, and health is not."""
    with_token = settings.model_copy(update={"metrics_token": SecretStr("s3cret")})
    async with running(with_token) as started:
        address = str(started.http)

        def status(path: str, **headers: str) -> int:
            return http.request(address, "GET", path, headers=headers).status

        assert await asyncio.to_thread(status, "/metrics") == 401
        assert await asyncio.to_thread(status, "/metrics", Authorization="Bearer wrong") == 401
        assert await asyncio.to_thread(status, "/metrics", Authorization="Bearer s3cret") == 200
        assert await asyncio.to_thread(status, "/healthz") == 200


async def test_a_client_that_comes_when_there_is_no_descriptor(
    plane: Plane, caplog: pytest.LogCaptureFixture
) -> None:
    """It waits, which is told of once, and is answered as soon as there is one."""
    loop = asyncio.get_running_loop()
    address = plane.running.http
    with socket.socket() as client:
        client.setblocking(False)
        with none_left():
            await loop.sock_connect(client, (address.host, address.port))
            await loop.sock_sendall(client, b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await asyncio.sleep(0.5)
        told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert sum("LimitNOFILE" in each for each in told) == 1
        # Others may have wanted to open a file.
        assert len(told) < 10
        received = b""
        async with asyncio.timeout(20):
            while piece := await loop.sock_recv(client, 65536):
                received += piece
    assert received.startswith(b"HTTP/1.1 200 ")
