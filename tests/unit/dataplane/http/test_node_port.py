"""The node's own port: alive, ready, and what it counts."""

import json
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clients.process.scraping import ScrapeToken
from dataplane.access.sign_in import Failures
from dataplane.blobs.measures import Measures
from dataplane.config.draft import from_message
from dataplane.config.state import ConfigState
from dataplane.http.limits import Hits
from dataplane.http.message import Answer, Request
from dataplane.http.metrics import Metrics
from dataplane.http.node_port import NodePort
from dataplane.http.readiness import details
from dataplane.http.timings import Timings
from dataplane.resolve.lookups import Lookups
from penstock.v1.config_pb2 import Configuration

CONFIGURATION = from_message(Configuration(revision=7))


class Clock:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Load:
    """A server at work."""

    active = 3
    connections = 7
    quick_answers = 40
    timings = Timings()


class Parts:
    """A node port with all that it looks at."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.state = ConfigState(self.clock)
        self.lookups = Lookups()
        self.measures = Measures()
        self.hits = Hits(stall=2)
        failures = Failures(expired=3)
        self.metrics = Metrics(self.state, self.lookups, self.measures, self.hits, failures, Load(), "1.2.3")
        self.draining = False
        self.port = NodePort(self.readiness, self.exposition, self.cached, ScrapeToken(""))

    async def readiness(self) -> tuple[bool, dict[str, Any]]:
        found = details(self.state, draining=self.draining, trouble="the disk is full")
        return found["ready"], found

    async def cached(self, request: Request) -> bytes | None:
        if "late" in request.target:
            raise TimeoutError
        return b"{}" if request.authorization else None

    async def exposition(self) -> bytes:
        return self.metrics.exposition()

    async def get(self, path: str, method: str = "GET") -> Answer:
        return await self.port.answer(Request(method, path))

    async def ready(self) -> tuple[int, dict[str, object]]:
        answer = await self.get("/readyz")
        assert isinstance(answer.body, bytes)
        return answer.status, json.loads(answer.body)

    def samples(self) -> dict[tuple[str, ...], float]:
        """Every sample by its name and the values of its labels, in the order of their names."""
        families = text_string_to_metric_families(self.metrics.exposition().decode())
        return {
            (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
            for family in families
            for sample in family.samples
        }


@pytest.fixture
async def parts() -> Parts:
    """Fresh ones."""
    return Parts()


async def test_a_node_is_alive_before_it_is_ready(parts: Parts) -> None:
    """It is ready once it has a configuration, and no longer when it is draining."""
    assert (await parts.get("/healthz")).status == 200
    status, details = await parts.ready()
    assert (status, details["ready"]) == (503, False)
    parts.state.take(CONFIGURATION)
    parts.state.follow()
    parts.clock.now += 2.5
    assert await parts.ready() == (
        200,
        {
            "ready": True,
            "draining": False,
            "configuration": {
                "revision": 7,
                "age_seconds": 2.5,
                "interruption": "",
                "refusal": "",
                "passed_over": {"count": 0, "last": ""},
            },
            "cache": {"trouble": "the disk is full"},
            "process": {"trouble": ""},
        },
    )
    parts.draining = True
    assert (await parts.ready())[0] == 503
    assert (await parts.get("/healthz")).status == 200


async def test_a_node_that_is_cut_off_stays_ready_and_says_so(parts: Parts) -> None:
    """It serves what it has; how old that is can be seen."""
    parts.state.take(CONFIGURATION, confirmed_at=400.0)
    parts.state.interrupt("the control plane is away")
    parts.state.refuse("Revision 8 is refused: it makes no sense.")
    status, details = await parts.ready()
    assert status == 200
    assert details["configuration"] == {
        "revision": 7,
        "age_seconds": 600.0,
        "interruption": "the control plane is away",
        "refusal": "Revision 8 is refused: it makes no sense.",
        "passed_over": {"count": 0, "last": ""},
    }


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/metrics/", 404),
        ("GET", "/v2/", 404),
        ("GET", "/metrics?name=x", 200),
        ("HEAD", "/readyz", 503),
        ("POST", "/metrics", 405),
    ],
)
async def test_nothing_else_is_there(parts: Parts, method: str, path: str, status: int) -> None:
    """And nothing can be changed."""
    assert (await parts.get(path, method)).status == status


async def test_metrics_are_what_prometheus_reads(parts: Parts) -> None:
    """Each counted where it happens, or looked at when it is asked for."""
    parts.metrics.count("blob", "GET", 200)
    parts.metrics.count("blob", "GET", 200)
    parts.metrics.count("none", "BREW", 404)
    parts.metrics.sent(1000)
    parts.lookups.stale = 4
    parts.measures.hits, parts.measures.upstream_bytes, parts.measures.cache_bytes = 5, 6, 7
    before = parts.samples()
    assert ("penstock_node_config_age_seconds",) not in before
    assert before[("penstock_node_config_revision",)] == 0
    parts.state.take(CONFIGURATION)
    parts.state.follow()
    samples = parts.samples()
    assert samples[("penstock_node_requests_total", "GET", "blob", "200")] == 2
    assert samples[("penstock_node_requests_total", "other", "none", "404")] == 1
    assert samples[("penstock_node_sent_bytes_total",)] == 1000
    assert samples[("penstock_node_requests_in_flight",)] == 3
    assert samples[("penstock_node_build_info", "1.2.3")] == 1
    assert samples[("penstock_node_manifest_lookups_total", "stale")] == 4
    assert samples[("penstock_node_blob_opens_total", "hit")] == 5
    assert samples[("penstock_node_upstream_bytes_total",)] == 6
    assert samples[("penstock_node_cache_bytes",)] == 7
    assert samples[("penstock_node_config_revision",)] == 7
    assert samples[("penstock_node_config_age_seconds",)] == 0
    assert samples[("penstock_node_config_following",)] == 1
    assert samples[("process_resident_memory_bytes",)] > 0


@pytest.mark.parametrize(("authorization", "status"), [("", 401), ("Bearer no", 401), ("Bearer s3cret", 200)])
async def test_metrics_want_the_token_that_is_set(authorization: str, status: int) -> None:
    """Without it they are not shown, and health still is."""
    parts = Parts()
    port = NodePort(parts.readiness, parts.exposition, parts.cached, ScrapeToken("s3cret"))
    answer = await port.answer(Request("GET", "/metrics", authorization=authorization))
    assert answer.status == status
    assert (b"penstock_node_requests" in bytes(answer.body)) == (status == 200)
    assert (await port.answer(Request("GET", "/healthz"))).status == 200


async def test_what_is_cached_is_told_or_looks_like_an_unknown_path(parts: Parts) -> None:
    """Who may have the answer is not decided here; a node whose workers hang says so."""
    path = "/cached/acme/app?reference=1.0"
    told = await parts.port.answer(Request("GET", path, authorization="Bearer pst_x"))
    assert (told.status, told.body) == (200, b"{}")
    assert await parts.get(path) == await parts.get("/nothing")
    assert (await parts.get("/cached/acme/app?reference=late")).status == 503
    assert (await parts.get(path, "POST")).status == 405
