"""A real Prometheus, configured as docs/metrics.md says, tells exactly what two nodes were asked for."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from deploy.panels import DASHBOARDS
from tests.fakes.images import Image
from tests.servers.docker_registry import DockerRegistry
from tests.servers.node import Node
from tests.servers.penstock import Penstock
from tests.servers.prometheus import Prometheus
from tests.servers.scripted import Scripted
from tests.servers.skopeo import Skopeo

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(240)]

# Seconds: a busy machine takes its time between two requests of one pull.
WINDOW = 4
TOKEN = "for-scrapers-alone"
# What is asked of each node: pulls of each artifact, and looks of programs that poll.
PULLS = {"app": 5, "tool": 3}
CHECKS = {"app": 4, "tool": 1}
# What Grafana puts in place of variables when all is chosen, and as its rate interval for scrapes every 15 s.
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$organization": ".*"}
# Queries that such traffic leaves without a series, by how their lines are called: what only appears with an
# upstream that fails, one that says what is left of its limit or is exceeded, and one in AWS.
EMPTY = {
    "Circuit breakers: 2 is open: {{upstream}}",
    "Rate limit left: {{upstream}}",
    "Pauses that upstreams asked for: {{upstream}}",
    "Age of ECR tokens: {{credential}} {{region}}",
}


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Penstock, Node, Prometheus]]:
    """A control plane with two nodes, and the Prometheus that watches all three."""
    settings = {"PULL_WINDOW": f"{WINDOW}s", "METRICS_TOKEN": TOKEN}
    penstock = Penstock(tmp_path / "penstock", together=False, settings=settings)
    try:
        penstock.start()
        node = Node(penstock, tmp_path / "second")
        jobs = {"penstock": [penstock.http], "penstock-node": [penstock.node, node.node]}
        prometheus = Prometheus(tmp_path / "prometheus", jobs, token=TOKEN)
        try:
            node.start()
            yield penstock, node, prometheus.start()
        finally:
            prometheus.stop()
            node.stop()
    finally:
        penstock.stop()


def test_scripted_traffic_is_told_exactly(
    watched: tuple[Penstock, Node, Prometheus],
    skopeo: Skopeo,
    upstream: DockerRegistry,
    fresh_image: Callable[[], Image],
) -> None:
    """Pulls, checks, bytes, hits and misses: of each node, of each artifact, and of the control plane."""
    penstock, second, prometheus = watched
    nodes = {penstock.node: penstock.registry, second.node: second.registry}
    organization = penstock.organization()
    images = {name: fresh_image() for name in PULLS}
    for name, image in images.items():
        skopeo.push(image, f"{upstream.host}/team/{name}:1.0")
        organization.artifact(f"{upstream.host}/team/{name}", name)
    for name in PULLS:
        second.wait_served(f"/v2/{organization.name}/{name}/tags/list", organization.token)
    # A node's metrics know what its workers did a moment later.
    time.sleep(2)
    before = prometheus.wait_scraped()

    sent = {instance: dict.fromkeys(PULLS, 0) for instance in nodes}

    def pull(times: Mapping[str, int]) -> None:
        for instance, address in nodes.items():
            client = Scripted(address, organization.token, "docker/20.10")
            for name, image in images.items():
                for _ in range(times[name]):
                    sent[instance][name] += client.pull(f"{organization.name}/{name}", image)

    pull(dict.fromkeys(PULLS, 1))
    # A blob that is not kept yet when it is asked for again would be followed, and be no hit.
    while prometheus.query("sum(penstock_node_fetches_running) > 0", at=prometheus.wait_scraped()):
        pass
    pull({name: count - 1 for name, count in PULLS.items()})
    for address in nodes.values():
        for name, count in CHECKS.items():
            for number in range(count):
                poller = Scripted(address, organization.token, f"poller/{number}")
                poller.check(f"{organization.name}/{name}")
                # Once more in the same window is no further check.
                poller.check(f"{organization.name}/{name}")

    # When the last window is over nothing can come any more, but from the nodes to the control plane.
    time.sleep(WINDOW + 2)
    total = len(nodes) * (sum(PULLS.values()) + sum(CHECKS.values()))
    stored = f"sum(penstock_node_events_total{{fate='stored'}}) >= {total}"
    deadline = time.monotonic() + 60
    while not prometheus.query(stored, at=prometheus.wait_scraped()) and time.monotonic() < deadline:
        pass
    after = prometheus.wait_scraped()

    def told(expression: str, *by: str) -> dict[tuple[str, ...], float]:
        return prometheus.query(expression, *by, at=after)

    of_each = ("instance", "artifact")
    this = f'{{organization="{organization.name}"}}'
    expected = {(instance, name) for instance in nodes for name in PULLS}
    assert told(f"penstock_node_pulls_total{this}", *of_each) == {
        (instance, name): PULLS[name] for instance, name in expected
    }
    assert told(f"penstock_node_checks_total{this}", *of_each) == {
        (instance, name): CHECKS[name] for instance, name in expected
    }
    assert told(f"penstock_node_pull_bytes_total{this}", *of_each) == {
        (instance, name): sent[instance][name] for instance, name in expected
    }
    # Sent at all: also what is no pull, so without what setting up has sent.
    for name, by_instance in (
        ("penstock_node_sent_bytes_total", {key: sum(sizes.values()) for key, sizes in sent.items()}),
        ('penstock_node_blob_opens_total{result="miss"}', dict.fromkeys(nodes, cold(images))),
        ('penstock_node_blob_opens_total{result="hit"}', dict.fromkeys(nodes, warm(images))),
        ('penstock_node_blob_opens_total{result="follow"}', dict.fromkeys(nodes, 0)),
    ):
        assert told(f"{name} - {name} @ {before:.3f}", "instance") == {
            (instance,): value for instance, value in by_instance.items()
        }, name

    assert told(f"penstock_pulls_total{this}", "artifact") == {(k,): 2 * v for k, v in PULLS.items()}
    assert told(f"penstock_pull_checks_total{this}", "artifact") == {(k,): 2 * v for k, v in CHECKS.items()}
    assert told(f"penstock_pulls_cold_total{this}", "artifact") == {(name,): 2 for name in PULLS}
    assert told(f"penstock_pulls_sent_bytes_total{this}", "artifact") == {
        (name,): sum(sizes[name] for sizes in sent.values()) for name in PULLS
    }
    assert {rule["name"] for rule in prometheus.rules() if rule["health"] == "err"} == set()

    # Recorded series are half a minute behind.
    while empty(prometheus) - EMPTY and time.monotonic() < deadline:
        prometheus.wait_scraped()
    assert empty(prometheus) == EMPTY


def cold(images: dict[str, Image]) -> int:
    """How many blobs a node has to fetch."""
    return sum(len(image.children[0].blobs) for image in images.values())


def warm(images: dict[str, Image]) -> int:
    """How many times it has a blob that it is asked for."""
    return sum((PULLS[name] - 1) * len(image.children[0].blobs) for name, image in images.items())


def empty(prometheus: Prometheus) -> set[str]:
    """Runs every query of the dashboards, which must not be an error; gives those that find no series.

    What is found must have the labels that its lines are called by.
    """
    panels = [panel for _, panels in DASHBOARDS.values() for panel in panels]
    found = {}
    for panel in panels:
        for expression, legend in panel.queries:
            for variable, value in VARIABLES.items():
                expression = expression.replace(variable, value)
            named = re.findall(r"{{(\w+)}}", legend)
            found[f"{panel.title}: {legend}"] = prometheus.query(expression, *named)
    unnamed = {line for line, series in found.items() if any("" in labels for labels in series)}
    assert unnamed == set()
    return {line for line, series in found.items() if not series}
