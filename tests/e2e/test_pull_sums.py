"""The sums of pulls are right when the control plane was away under load, and nodes were killed meanwhile.

With `TEST_PULL_OUTAGE=600` it is away for so many seconds, at a lower load, and nodes are killed three times.
"""

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.fakes.images import Image
from tests.servers import http
from tests.servers.docker_registry import DockerRegistry
from tests.servers.node import Node
from tests.servers.penstock import Organization, Penstock
from tests.servers.scripted import Scripted
from tests.servers.skopeo import Skopeo

# Seconds that the control plane is away beyond what killing nodes takes.
OUTAGE = float(os.environ.get("TEST_PULL_OUTAGE", "0"))
KILLS = 3 if OUTAGE else 1
# Seconds between two pulls of a client.
PAUSE = 0.5 if OUTAGE else 0.0

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(300 + OUTAGE)]

# Seconds: until a pull without further requests has ended, and how long before a kill the last one was.
# A second is promised, on a machine that is not busy.
WINDOW = 3
KEPT = 2
CLIENTS = 2


class Load:
    """Clients that pull everything from one node, over and over, until they are stopped."""

    def __init__(self, node: Node | Penstock, organization: Organization, images: Mapping[str, Image]):
        self._organization = organization.name
        self._images = images
        agents = (f"docker/{node.registry}/{number}" for number in range(CLIENTS))
        self._clients = [Scripted(node.registry, organization.token, agent) for agent in agents]
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(CLIENTS)
        self._running: list[Future[None]] = []
        self._counting = threading.Lock()
        self.pulls: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        # Once, and alone, so that it is known how many pulls were cold: whoever comes before all is stored
        # has another cold one.
        self._pull_all(self._clients[0])
        wait_stored(node)
        self.start()

    def start(self) -> None:
        self._stopping.clear()
        self._running = [self._threads.submit(self._go_on, client) for client in self._clients]

    def stop(self) -> None:
        """Has every client end the pull that it is at; raises what went wrong."""
        self._stopping.set()
        running, self._running = self._running, []
        for one in running:
            one.result()

    def close(self) -> None:
        self._stopping.set()
        self._threads.shutdown()

    def _go_on(self, client: Scripted) -> None:
        while not self._stopping.is_set():
            self._pull_all(client)
            self._stopping.wait(PAUSE)

    def _pull_all(self, client: Scripted) -> None:
        for name, image in self._images.items():
            size = client.pull(f"{self._organization}/{name}", image)
            with self._counting:
                self.pulls[name] += 1
                self.bytes[name] += size


@pytest.fixture
def two_nodes(tmp_path: Path) -> Iterator[tuple[Penstock, Node]]:
    """A control plane and a node, and a second node, which may all be killed."""
    settings = {"PULL_WINDOW": f"{WINDOW}s"}
    penstock = Penstock(tmp_path / "penstock", together=False, settings=settings)
    try:
        penstock.start()
        second = Node(penstock, tmp_path / "second")
        try:
            yield penstock, second.start()
        finally:
            second.stop()
    finally:
        penstock.stop()


def test_sums_after_trouble(
    two_nodes: tuple[Penstock, Node],
    skopeo: Skopeo,
    upstream: DockerRegistry,
    fresh_image: Callable[[], Image],
) -> None:
    """Each pull is counted once, with its bytes: nothing that ended in time before a kill is lost."""
    penstock, second = two_nodes
    organization = penstock.organization()
    images = {name: fresh_image() for name in ("app", "tool")}
    for name, image in images.items():
        skopeo.push(image, f"{upstream.host}/team/{name}:1.0")
        organization.artifact(f"{upstream.host}/team/{name}", name)
        second.wait_served(f"/v2/{organization.name}/{name}/tags/list", organization.token)

    def restart_first() -> None:
        penstock.planes["dataplane"].kill()
        penstock.start_plane("dataplane")

    def restart_second() -> None:
        second.process.kill()
        second.start()

    with ExitStack() as stack:
        loads = [
            stack.enter_context(closing(Load(node, organization, images))) for node in (penstock, second)
        ]
        # So long that some is stored, and some on its way.
        time.sleep(WINDOW + 1)
        penstock.planes["controlplane"].kill()
        for _ in range(KILLS):
            for load, restart in zip(loads, (restart_first, restart_second), strict=True):
                load.stop()
                time.sleep(KEPT)
                restart()
                load.start()
            time.sleep(OUTAGE / KILLS)
        penstock.start_plane("controlplane")
        # In the middle of what it has to report.
        loads[0].stop()
        time.sleep(KEPT)
        restart_first()
        loads[1].stop()

    wanted = {
        name: (loads[0].pulls[name] + loads[1].pulls[name], loads[0].bytes[name] + loads[1].bytes[name], 2)
        for name in images
    }
    print(f"pulls, bytes, cold pulls: {wanted}")
    deadline = time.monotonic() + 30
    while sums(organization, "artifact") != wanted and time.monotonic() < deadline:
        time.sleep(0.5)
    # What came twice would come now.
    time.sleep(WINDOW)
    assert sums(organization, "artifact") == wanted
    # These are not kept, but made of the events themselves.
    assert sums(organization, "artifact", "client") == wanted


def wait_stored(node: Node | Penstock) -> None:
    """Waits until a node fetches nothing any more, in any of its processes."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        metrics = http.request(node.node, "GET", "/metrics").body.decode()
        if re.search(r"^penstock_node_fetches_running\S* 0(\.0)?$", metrics, re.MULTILINE):
            return
        time.sleep(0.02)
    raise AssertionError("the node does not end its fetches")


def sums(organization: Organization, *by: str) -> dict[str, tuple[int, ...]]:
    """Pulls, bytes and cold pulls of each artifact, as the control plane has them."""
    found: dict[str, tuple[int, ...]] = {}
    flags = [word for dimension in by for word in ("--by", dimension)]
    for one in organization.penstock.json("pulls", "sum", organization.name, *flags):
        name = str(one["artifact"]).rpartition("/")[2]
        told = [int(one.get(field, 0)) for field in ("pulls", "bytes_sent", "cold_pulls")]
        found[name] = tuple(map(sum, zip(told, found.get(name, (0, 0, 0)), strict=True)))
    return found
