"""Traces: nothing while they are off, what belongs together while they are on."""

from collections.abc import Iterator

import grpc
import pytest
from yarl import URL

from clients.control.client import ControlClient
from clients.control.token import TokenKind, new_token
from clients.oci.request import Request
from clients.oci.transport import Transport
from clients.process import request_id, tracing
from clients.process.exits import ConfigurationError
from penstock.v1 import organization_pb2
from tests.fakes.collector import Collector
from tests.fakes.registry import FakeRegistry
from tests.fakes.scripted_api import Refusal, served

FAR = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """This process traces, until the test calls `tracing.stop`."""
    with Collector() as collector:
        tracing.configure(collector.url, "tests")
        try:
            yield collector
        finally:
            tracing.stop()


def test_off_is_nothing() -> None:
    """No header, no span, and everything can be called."""
    tracing.configure("", "tests")
    with tracing.begin_trace("GET", FAR, {}) as span, tracing.ask("GET", {}) as asked:
        span.name("other")
        span.set({"one": 1})
        assert (span.traceparent, asked.traceparent) == ("", "")
    tracing.begin_asking("call", {}).end()
    tracing.stop()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("https://collector/", "https://collector/v1/traces"),
        ("http://collector/otlp/traces", "http://collector/otlp/traces"),
        ("", ""),
    ],
)
def test_where_traces_go(endpoint: str, url: str) -> None:
    """The usual path, unless there is one."""
    assert tracing.check(endpoint) == url


@pytest.mark.parametrize("endpoint", ["collector:4317", "grpc://collector:4317", "http://", "http://x:99999"])
def test_what_is_no_endpoint(endpoint: str) -> None:
    """Said when a process starts."""
    with pytest.raises(ConfigurationError, match="PENSTOCK_TRACING_ENDPOINT"):
        tracing.check(endpoint)


def test_a_trace(collector: Collector) -> None:
    """Goes on from who asked, names the request and who failed, and says nothing of why."""

    def answer() -> None:
        with tracing.begin_trace("GET", FAR, {"a": 1}) as span:
            span.name("GET blob")
            asked = tracing.begin_asking("Service/Method", {})
            with tracing.go_on("Service/Method", asked.traceparent, {}):
                pass
            asked.end()
            raise ValueError("secret")

    with request_id.answering("one"), pytest.raises(ValueError, match="secret"):
        answer()
    tracing.stop()
    method, call, request = collector.spans
    assert {span.trace for span in collector.spans} == {FAR.split("-")[1]}
    assert [request.parent, call.parent, method.parent] == [FAR.split("-")[2], request.id, call.id]
    assert (request.service, request.name) == ("tests", "GET blob")
    assert request.attributes == {"a": 1, "penstock.request_id": "one"}
    assert request.failure == "ValueError"


def test_what_nobody_asked_for_is_not_traced(collector: Collector) -> None:
    """Neither what a process does by itself, nor calls of who does not trace; a bad parent is none."""
    with tracing.ask("GET", {}), tracing.go_on("Service/Method", "", {}):
        tracing.begin_asking("Service/Method", {}).end()
    with tracing.begin_trace("GET", "00-nonsense", {}):
        pass
    tracing.stop()
    (span,) = collector.spans
    assert span.parent == ""


async def test_only_who_is_asked_hears_of_the_trace(collector: Collector, fake: FakeRegistry) -> None:
    """Not the origin that a request is redirected to; both requests are spans."""
    request = Request(host=fake.host, url=URL(f"{fake.base_url}/v2/"))
    async with FakeRegistry() as elsewhere, Transport(allow_private=True) as transport:
        fake.faults.add("version", redirect=elsewhere.base_url)
        with tracing.begin_trace("GET", "", {}):
            await transport.fetch(request, limit=100)
        await transport.fetch(request, limit=100)
    tracing.stop()
    first, second, whole = collector.spans
    assert [span.attributes["http.response.status_code"] for span in (first, second)] == [307, 200]
    assert {first.parent, second.parent} == {whole.id}
    assert fake.requests[0].headers["traceparent"].startswith(f"00-{whole.trace}-{first.id}-")
    assert "traceparent" not in fake.requests[1].headers
    assert not any("traceparent" in seen.headers for seen in elsewhere.requests)


async def test_calls_tell_how_they_ended(collector: Collector) -> None:
    """Of one that is refused the code, and nothing of the sentence; of one that succeeds that it did."""
    async with served() as api, ControlClient(api.address, new_token(TokenKind.USER)) as control:
        api.answer(
            "GetOrganization", organization_pb2.Organization(), Refusal(grpc.StatusCode.NOT_FOUND, "x")
        )
        with tracing.begin_trace("GET", "", {}):
            request = organization_pb2.GetOrganizationRequest(name="organizations/acme")
            await control.organizations.GetOrganization(request)
            with pytest.raises(grpc.aio.AioRpcError):
                await control.organizations.GetOrganization(request)
    tracing.stop()
    calls = [span for span in collector.spans if span.name != "GET"]
    assert [(call.attributes["rpc.response.status_code"], call.failure) for call in calls] == [
        ("OK", ""),
        ("NOT_FOUND", "NOT_FOUND"),
    ]
