"""The API as REST, on the HTTP port."""

import asyncio
import functools
import json
from contextlib import AsyncExitStack
from typing import Any

import pytest

from clients.control.client import ControlClient
from clients.process import tracing
from controlplane.api.port import SERVICES
from controlplane.catalog import clearing
from controlplane.server import running
from controlplane.settings import Settings
from controlplane.web.rest.binding import bindings
from controlplane.web.server import WebServer
from penstock.v1 import artifact_pb2, credential_pb2, organization_pb2, user_pb2
from tests.fakes import sqlite_copies
from tests.fakes.collector import Collector
from tests.servers import http
from tests.servers.control_plane import Plane


async def _ask(
    plane: Plane, method: str, path: str, token: str = "", body: Any = None, **headers: str
) -> http.Answer:
    given = {"Authorization": f"Bearer {token or plane.root_token}", **headers}
    call = functools.partial(
        http.request,
        str(plane.running.http),
        method,
        f"/api/v1{path}",
        headers=given,
        body=b"" if body is None else json.dumps(body).encode(),
    )
    return await asyncio.to_thread(call)


async def test_a_resource_from_creation_to_deletion(plane: Plane) -> None:
    """Standard methods work as over gRPC: create, get, list with pages, change with a mask, delete."""
    created = await _ask(plane, "POST", "/organizations?organization_id=acme", body={"displayName": "Acme"})
    assert created.status == 200
    assert created.json()["name"] == "organizations/acme"
    for index in range(3):
        user = {"email": f"u{index}@example.com", "role": "ROLE_READ_ONLY"}
        assert (await _ask(plane, "POST", "/organizations/acme/users", body=user)).status == 200
    page = (await _ask(plane, "GET", "/organizations/acme/users?pageSize=2")).json()
    assert [user["email"] for user in page["users"]] == ["u0@example.com", "u1@example.com"]
    rest = await _ask(plane, "GET", f"/organizations/acme/users?page_token={page['nextPageToken']}")
    assert [user["email"] for user in rest.json()["users"]] == ["u2@example.com"]
    path = "/organizations/acme/users/u0%40example.com"
    changed = await _ask(plane, "PATCH", f"{path}?updateMask=role", body={"role": "ROLE_ADMIN"})
    assert (changed.json()["role"], changed.json()["displayName"]) == ("ROLE_ADMIN", "")
    token = await _ask(plane, "POST", f"{path}/tokens", body={"label": "x"})
    mine = await _ask(plane, "GET", "/organizations/acme", token=token.json()["secret"])
    assert mine.json()["displayName"] == "Acme"
    assert (await _ask(plane, "DELETE", path)).json() == {}
    assert (await _ask(plane, "GET", path)).status == 404


async def test_errors_are_those_of_grpc(plane: Plane) -> None:
    """Status, reason and violations are in the body as google.rpc.Status."""
    await plane.organization("acme")
    _, reader = await plane.user("acme", "read_only")
    user = {"email": "x@example.com"}
    refused = await _ask(plane, "POST", "/organizations/acme/users", token=reader, body=user)
    assert (refused.status, refused.json()["details"][0]["reason"]) == (403, "ROLE_TOO_LOW")
    nobody = await _ask(plane, "GET", "/organizations/acme", token="pst_nonsense")
    assert nobody.status == 401
    assert "Bearer" in nobody.headers["WWW-Authenticate"]
    wrong = await _ask(
        plane, "POST", "/organizations/acme/users", body={"email": "x", "displayName": "x" * 101}
    )
    fields = [item["field"] for item in wrong.json()["details"][1]["fieldViolations"]]
    assert (wrong.status, fields) == (400, ["user.email", "user.display_name"])
    parameter = await _ask(plane, "GET", "/organizations?pagesize=1")
    assert parameter.json()["details"][1]["fieldViolations"][0]["field"] == "pagesize"


@pytest.mark.parametrize(
    "path", ["", "/", "/nonsense", "/organizations/acme/", "/organizations/a/b/c", "/nodes:x"]
)
async def test_paths_that_are_none(plane: Plane, path: str) -> None:
    """They are 404 in the same form as every error."""
    answer = await _ask(plane, "GET", path)
    assert (answer.status, answer.json()["details"][0]["reason"]) == (404, "ROUTE_UNKNOWN")


async def test_other_methods_are_named(plane: Plane) -> None:
    """405 with Allow, where the path exists."""
    answer = await _ask(plane, "PUT", "/organizations/acme")
    assert (answer.status, answer.headers["Allow"]) == (405, "DELETE, GET, PATCH, HEAD")


async def test_a_stream_is_a_line_for_each_message(plane: Plane) -> None:
    """WatchSyncJob goes on until the job ends; what ended it before it began is a plain error."""
    await plane.organization("acme")
    artifact = await plane.artifact("acme", "app")
    job = (await _ask(plane, "POST", f"/artifacts/{artifact.uid}/sync")).json()
    watched = await _ask(plane, "GET", f"/{job['name']}:watch")
    lines = [json.loads(line) for line in watched.body.splitlines()]
    assert lines[-1]["result"]["name"] == job["name"]
    assert lines[-1]["result"]["state"] not in {"PENDING", "RUNNING"}
    missing = f"/{artifact.name}/syncJobs/01234567-89ab-4cde-8f01-23456789abcd:watch"
    assert (await _ask(plane, "GET", missing)).status == 404


async def test_metrics_name_the_method(plane: Plane) -> None:
    """Requests are counted by what they called, not by paths that people make up."""
    await plane.organization("acme")
    await _ask(plane, "GET", "/organizations/acme")
    text = (await asyncio.to_thread(http.request, str(plane.running.http), "GET", "/metrics")).body.decode()
    route = 'route="penstock.v1.OrganizationService/GetOrganization"'
    assert f'penstock_http_requests_total{{{route},status="200"}} 1.0' in text


def test_every_method_for_users_has_a_route() -> None:
    """What gRPC offers, REST does; only nodes' own methods have no rule."""
    missing = []
    for module in (organization_pb2, user_pb2, credential_pb2, artifact_pb2):
        for service in module.DESCRIPTOR.services_by_name.values():
            assert service.full_name in SERVICES
            missing += [method.full_name for method in service.methods if not list(bindings(method))]
    assert missing == []


async def test_a_request_is_part_of_the_trace_that_asked_for_it(plane: Plane) -> None:
    """With the id that the client gave it, and neither its path nor its token; without a trace it is none."""
    trace, parent, secret = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", plane.root_token
    with Collector() as collector:
        tracing.configure(collector.url, "tests")
        try:
            headers = {"traceparent": f"00-{trace}-{parent}-01", "X-Request-Id": "rest-1"}
            answer = await _ask(plane, "GET", "/organizations/nobody", **headers)
            await _ask(plane, "GET", "/organizations/nobody")
        finally:
            tracing.stop()
    assert (answer.status, answer.headers["X-Request-Id"]) == (404, "rest-1")
    (span,) = collector.spans
    assert (span.trace, span.parent) == (trace, parent)
    assert span.name == "penstock.v1.OrganizationService/GetOrganization"
    assert span.attributes == {
        "http.request.method": "GET",
        "http.response.status_code": 404,
        "penstock.request_id": "rest-1",
    }
    assert secret not in repr(span)


async def test_a_request_that_is_under_way_at_a_stop_is_answered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a call over gRPC is, where it ends in some seconds."""
    await sqlite_copies.copy_into(settings.data_dir)
    begun, stopping = asyncio.Event(), asyncio.Event()
    empty, stop = clearing.clear_all, WebServer.stop

    async def emptying(*arguments: Any) -> None:
        begun.set()
        await stopping.wait()
        await empty(*arguments)

    async def ending(self: WebServer) -> None:
        asyncio.get_running_loop().call_later(0.1, stopping.set)
        await stop(self)

    monkeypatch.setattr(clearing, "clear_all", emptying)
    monkeypatch.setattr(WebServer, "stop", ending)
    async with running(settings) as started, AsyncExitStack() as stack:
        token = started.new_admin_token or ""
        root = await stack.enter_async_context(ControlClient(str(started.grpc), token))
        plane = Plane(started, settings.data_dir, root, token, stack)
        await plane.organization("acme")
        await plane.artifact("acme", "app")
        asking = asyncio.create_task(_ask(plane, "DELETE", "/organizations/acme/artifacts/app"))
        await begun.wait()
    assert (await asking).status == 200
