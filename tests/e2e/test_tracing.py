"""One trace tells what a request does in all processes."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.collector import Collector, Seen
from tests.fakes.images import Image
from tests.fakes.registry import FakeRegistry
from tests.servers.penstock import Penstock

pytestmark = [pytest.mark.real, pytest.mark.slow]

NODE, CONTROL_PLANE = "penstock-node", "penstock-controlplane"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ACCESS = "penstock.v1.NodeService/GetUpstreamAccess"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Where the installation sends its traces."""
    with Collector() as collector:
        yield collector


@pytest.fixture
def traced(tmp_path: Path, collector: Collector) -> Iterator[Penstock]:
    """An installation that traces."""
    settings = {"TRACING_ENDPOINT": collector.url, "WORKERS": "2"}
    installation = Penstock(tmp_path / "traced", settings=settings)
    try:
        yield installation.start()
    finally:
        installation.stop()


async def test_from_the_client_to_the_upstream(
    collector: Collector, traced: Penstock, fake: FakeRegistry, fresh_image: Callable[[], Image]
) -> None:
    """A cold blob: the node's answer, its call, the control plane's method, the request to the upstream."""
    image = fake.add(fresh_image(), "team/app", ["1.0"])
    layer = image.children[0].layers[0]
    organization = await asyncio.to_thread(traced.organization)
    await asyncio.to_thread(organization.artifact, f"{fake.host}/team/app")
    answer = await asyncio.to_thread(
        organization.request,
        "GET",
        f"app/blobs/{layer.digest}",
        traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
        X_Request_Id="pull-1",
    )
    assert answer.status == 200

    def enough(spans: list[Seen]) -> bool:
        mine = {(span.service, span.name) for span in spans if span.trace == TRACE}
        return mine >= {(NODE, "GET blob"), (NODE, ACCESS), (CONTROL_PLANE, ACCESS), (NODE, "GET")}

    spans = [span for span in await asyncio.to_thread(collector.wait, enough) if span.trace == TRACE]
    (request,) = [span for span in spans if span.name == "GET blob"]
    (call,) = [span for span in spans if (span.service, span.name) == (NODE, ACCESS)]
    (method,) = [span for span in spans if (span.service, span.name) == (CONTROL_PLANE, ACCESS)]
    (fetch,) = [span for span in spans if span.name == "GET"]
    assert (request.parent, request.attributes["http.response.status_code"]) == ("00f067aa0ba902b7", 200)
    assert method.parent == call.id
    by_id = {span.id: span for span in spans}
    for span in (call, fetch):
        while span is not request:
            span = by_id[span.parent]
    assert {span.attributes["penstock.request_id"] for span in spans} == {"pull-1"}
    (seen,) = [seen for seen in fake.requests if seen.path.endswith(layer.digest.encoded)]
    assert seen.headers["traceparent"] == f"00-{TRACE}-{fetch.id}-01"
    # What the control plane did for itself, or a command asked of it, began no trace.
    assert all(span.name.startswith(("GET", "penstock.v1.NodeService/")) for span in collector.spans)
