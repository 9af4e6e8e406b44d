"""What traces tell of requests."""

import asyncio

from clients.process import tracing
from tests.fakes.collector import Collector
from tests.unit.dataplane.http.serving import CLOSE, get, running


async def test_what_clients_make_up_names_no_trace() -> None:
    """Traces are grouped by name: anybody could have a name for each request, as long as headers may be."""
    with Collector() as collector:
        tracing.configure(collector.url, "tests")
        try:
            async with running(traced=True) as server:
                for method in ("GET", "BREW", "A" * 10_000):
                    await server.exchange(get("/", CLOSE, method=method))
        finally:
            # It waits for the collector.
            await asyncio.to_thread(tracing.stop)
        told = [(span.name, span.attributes["http.request.method"]) for span in collector.spans]
    assert told == [("GET none", "GET"), ("_OTHER none", "_OTHER"), ("_OTHER none", "_OTHER")]
