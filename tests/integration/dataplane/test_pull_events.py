"""One pull, one event: through both ways of answering, all workers, and the death of each of them."""

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from penstock.v1.pull_pb2 import PullEvent
from tests.fakes.aborts import Fault
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import Image, make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane.conftest import Setup, basic, until
from tests.integration.dataplane.test_process import offer, running
from tests.integration.dataplane.test_workers import Node

WINDOW = timedelta(milliseconds=600)


def two_platforms() -> Image:
    """An index of two images."""
    platforms = (("linux", "amd64"), ("linux", "arm64", "v8"))
    return make_index([make_image([9000, 500], platform=one, seed=n) for n, one in enumerate(platforms)])


def paths(index: Image, child: int = 0) -> list[tuple[str, str]]:
    """What docker asks for when it pulls 1.0."""
    image = index.children[child]
    by_digest = [f"manifests/{digest}" for digest in (index.digest, image.digest)]
    blobs = [f"blobs/{digest}" for digest in image.blobs]
    return [("HEAD", "manifests/1.0"), *(("GET", path) for path in by_digest + blobs)]


async def pull(setup: Setup, index: Image, **headers: str) -> int:
    """Ask as docker does, and give the bytes of all bodies."""
    size = 0
    for method, path in paths(index):
        answer = await setup.request(method, f"/v2/acme/app/{path}", User_Agent="docker/20", **headers)
        assert answer.status == 200
        size += len(answer.body)
    return size


async def asked_for(setup: Setup, image: Image) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for an image's layer on a connection of its own, which reads little ahead."""
    host, _, port = setup.node.registry_address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 16)
    path = f"/v2/acme/app/blobs/{image.layers[0].digest}"
    fields = f"Host: x\r\nUser-Agent: client/1\r\nAuthorization: {basic(setup.token)}\r\n"
    writer.write(f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode())
    return reader, writer


@pytest.mark.parametrize("fast", [True, False])
async def test_cold_and_warm(setup: Setup, fast: bool) -> None:
    """Each is one event, whichever way the requests are answered; a HEAD alone is a check."""
    index = two_platforms()
    await setup.restart(pull_window=WINDOW, fast_path=fast)
    artifact = await setup.artifact(index)
    sizes = [await pull(setup, index)]
    await until(lambda: len(setup.plane.pulls) == 1)
    sizes.append(await pull(setup, index))
    await until(lambda: len(setup.plane.pulls) == 2)
    await setup.head("manifests/1.0", User_Agent="polling")
    await until(lambda: len(setup.plane.pulls) == 3)
    cold, warm, check = setup.plane.pulls.values()
    for event, size in zip((cold, warm), sizes, strict=True):
        assert event.kind == PullEvent.Kind.PULL
        assert (event.organization_uid, event.artifact_uid) == (artifact.organization_uid, artifact.uid)
        assert (event.tag, event.digest) == ("1.0", str(index.digest))
        assert (event.platform, event.platform_digest) == ("linux/amd64", str(index.children[0].digest))
        assert (event.address, event.client, event.user_uid) == ("127.0.0.1", "docker/20", "user-1")
        assert (event.bytes_sent, event.completed) == (size, True)
    blobs = len(index.children[0].blobs)
    assert (cold.warm_blobs, cold.cold_blobs) == (0, blobs)
    assert (warm.warm_blobs, warm.cold_blobs) == (blobs, 0)
    assert (check.kind, check.tag, check.bytes_sent) == (PullEvent.Kind.CHECK, "1.0", 0)
    labels = {"artifact": "app", "organization": "acme"}
    assert await setup.metric("penstock_node_pulls_total", **labels) == 2
    assert await setup.metric("penstock_node_checks_total", **labels) == 1
    assert await setup.metric("penstock_node_pull_bytes_total", **labels) == sum(sizes)
    assert await setup.metric("penstock_node_events_total", fate="stored") == 3


async def test_a_manifest_that_the_client_has_is_checked(setup: Setup) -> None:
    """A GET that is answered with 304 took nothing: it is no pull."""
    index = two_platforms()
    await setup.restart(pull_window=WINDOW)
    await setup.artifact(index)
    answer = await setup.get("manifests/1.0", If_None_Match=f'"{index.digest}"', User_Agent="polling")
    assert answer.status == 304
    await until(lambda: len(setup.plane.pulls) == 1)
    (event,) = setup.plane.pulls.values()
    assert (event.kind, event.tag) == (PullEvent.Kind.CHECK, "1.0")


async def test_without_recording(setup: Setup) -> None:
    """Nothing is noted, kept or sent."""
    index = two_platforms()
    await setup.restart(pull_window=WINDOW, pull_events=False)
    await setup.artifact(index)
    await pull(setup, index)
    await setup.node.stop()
    assert setup.plane.pulls == {}
    # The node before this one made the folder.
    assert list((setup.data_dir / "node" / "events").iterdir()) == []


async def test_a_client_that_leaves(setup: Setup) -> None:
    """What it took is counted, and the pull is not completed."""
    image = make_image([30_000_000])
    await setup.restart(pull_window=WINDOW)
    await setup.artifact(image)
    await setup.get("manifests/1.0", User_Agent="client/1")
    reader, writer = await asked_for(setup, image)
    await reader.readexactly(100_000)
    writer.transport.abort()
    # It is waited for longer than for others, as it may come back: the end of the node does not wait.
    await asyncio.sleep(0.5)
    await setup.node.stop()
    (event,) = setup.plane.pulls.values()
    assert not event.completed
    assert 50_000 < event.bytes_sent < 30_000_000


async def test_a_client_that_leaves_with_all_of_it(setup: Setup) -> None:
    """It has the whole blob, and hangs up while its pace would have the next bytes wait: a completed pull."""
    image = make_image([1_000_000])
    # No room on the disk: the blob is passed through, not sent from a file.
    await setup.restart(pull_window=WINDOW, max_rate="2MiB", cache_min_free_bytes=1 << 60)
    await setup.artifact(image)
    taken = await setup.get("manifests/1.0", User_Agent="client/1")
    reader, writer = await asked_for(setup, image)
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(image.layers[0].size)
    writer.transport.abort()
    await until(lambda: setup.node._registry_server.active == 0)
    await setup.restart()
    (event,) = setup.plane.pulls.values()
    assert (event.bytes_sent, event.completed) == (len(taken.body) + image.layers[0].size, True)


async def test_requests_at_many_workers(plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path) -> None:
    """Each on a connection of its own, to whatever worker gets it: one event, of all that was sent."""
    index = two_platforms()
    token = offer(plane, fake, index)
    size = 0
    async with running(plane, tmp_path / "data", WORKERS="3", PULL_WINDOW="1s") as process:
        for _ in range(4):
            for method, path in paths(index):
                # HEAD would leave the reader waiting for a body.
                if method == "GET":
                    size += len(await process.get(f"/v2/acme/app/{path}", token))
            await asyncio.sleep(0.2)
        process.process.send_signal(signal.SIGTERM)
        await process.process.wait()
    assert len(plane.pulls) == 4
    assert sum(event.bytes_sent for event in plane.pulls.values()) == size
    assert {event.digest for event in plane.pulls.values()} == {str(index.digest)}
    assert all(event.completed for event in plane.pulls.values())


@pytest.mark.slow
async def test_a_node_that_is_killed(plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path) -> None:
    """With the control plane away: what is older than a second is reported after a restart, and once."""
    index = two_platforms()
    token = offer(plane, fake, index)
    plane.faults["RecordPulls"] = Fault(grpc.StatusCode.UNAVAILABLE)
    wanted = 0
    for _ in range(2):
        async with running(plane, tmp_path / "data", WORKERS="2", PULL_WINDOW="1s") as process:
            for _ in range(3):
                for method, path in paths(index):
                    if method == "GET":
                        await process.get(f"/v2/acme/app/{path}", token)
                await asyncio.sleep(0.1)
                wanted += 1
            await asyncio.sleep(2)
            process.process.kill()
    assert plane.pulls == {}
    plane.faults.clear()
    async with running(plane, tmp_path / "data", WORKERS="2", PULL_WINDOW="1s"):
        await until(lambda: len(plane.pulls) == wanted)
        await asyncio.sleep(1.5)
    assert len(plane.pulls) == plane.recorded == wanted


def leads(pid: int) -> bool:
    """Whether this is the worker that folds for the others."""
    return "0/2" in Path(f"/proc/{pid}/cmdline").read_text()


@pytest.mark.slow
async def test_the_worker_that_folds_is_killed(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """In the middle of a pull, which goes on at another worker: it stays one event."""
    index = two_platforms()
    token = offer(plane, fake, index)
    # A machine that is busy takes its time for the worker that follows.
    async with running(plane, tmp_path / "data", WORKERS="2", PULL_WINDOW="10m") as process:
        node = Node(process)
        await node.process.get(f"/v2/acme/app/manifests/{index.digest}", token)
        # Longer than what may be lost.
        await asyncio.sleep(2)
        (leading,) = filter(leads, node.workers())
        os.kill(leading, signal.SIGKILL)
        await node.serving(2)
        for _, path in paths(index)[2:]:
            await node.process.get(f"/v2/acme/app/{path}", token)
        await asyncio.sleep(2)
        node.process.process.send_signal(signal.SIGTERM)
        await node.process.process.wait()
    (event,) = plane.pulls.values()
    assert (event.digest, event.platform) == (str(index.digest), "linux/amd64")
    assert event.warm_blobs + event.cold_blobs == len(index.children[0].blobs)
