"""A node of several processes: it looks like one, outlives each of them, and ends as a whole."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane import rest
from tests.integration.dataplane.conftest import until
from tests.integration.dataplane.test_process import Running, environment, offer, refusal, running


class Node:
    """A node's process, and its workers."""

    def __init__(self, process: Running) -> None:
        self.process = process

    def workers(self) -> set[int]:
        """The process ids of its workers."""
        pid = self.process.process.pid
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def connections(self) -> list[int]:
        """How many clients are connected to each worker that has any."""
        port = int(self.process.registry.rpartition(":")[2])
        # Of /proc/net/tcp: the local address, the state, and the inode of what is established (proc(5)).
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = {row[9] for row in rows if int(row[1].rpartition(":")[2], 16) == port and row[3] == "01"}
        counts = []
        for pid in self.workers():
            with suppress(FileNotFoundError):
                links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
                counts.append(sum(link.removeprefix("socket:[").rstrip("]") in inodes for link in links))
        return [count for count in counts if count]

    async def ask(self, path: str, token: str = "") -> tuple[int, str]:
        """Ask the node's own port."""
        host, _, port = self.process.node.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 24)
        writer.write(f"GET {path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
        writer.close()
        return int(head.split()[1]), body

    async def ready(self) -> dict[str, Any]:
        """What /readyz says, which is ready."""
        status, body = await self.ask("/readyz")
        assert status == 200
        return dict(json.loads(body))

    async def serving(self, count: int) -> None:
        """Wait until so many workers serve."""
        while (await self.ready())["workers"]["serving"] != count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)

    async def restarted(self, count: int) -> None:
        """Wait until so many workers were replaced."""
        while (await self.ready())["workers"]["restarts"] != count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)

    async def at_rest(self, data_dir: Path) -> None:
        """Wait until it has nothing to do for anybody, and holds no file of what it did."""
        async with asyncio.timeout(60):
            for name in ("requests_in_flight", "connections", "fetches_running"):
                assert f"\npenstock_node_{name} " in (await self.ask("/metrics"))[1]
                while await self.metric(f"penstock_node_{name} "):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)

        def left() -> list[str]:
            return rest.unfinished(data_dir) + rest.blobs_open(data_dir, self.workers())

        # For whoever comes next, files stay open for a moment.
        with suppress(TimeoutError):
            await until(lambda: not left(), 10)
        assert not left()

    async def metric(self, start: str) -> float:
        """The sum of the samples that start so."""
        _, body = await self.ask("/metrics")
        return sum(float(line.rpartition(" ")[2]) for line in body.splitlines() if line.startswith(start))


@asynccontextmanager
async def node_of(
    plane: FakeControlPlane, data_dir: Path, count: int = 3, **settings: str
) -> AsyncIterator[Node]:
    """A node with so many workers."""
    async with running(plane, data_dir, WORKERS=str(count), **settings) as process:
        yield Node(process)


async def test_many_processes_look_like_one(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """One port, one fetch for all, one sum of what was counted; each has some of the connections."""
    image = make_image([3_000_000])
    blob = image.layers[0]
    token = offer(plane, fake, image)
    async with node_of(plane, tmp_path / "data") as node:
        assert len(node.workers()) == 3
        path = f"/v2/acme/app/blobs/{blob.digest}"
        bodies = await asyncio.gather(*(node.process.get(path, token) for _ in range(40)))
        assert all(body == content_of(blob) for body in bodies)
        assert fake.count("GET", "blobs") == 1
        assert await node.metric('penstock_node_requests_total{method="GET",route="blob",status="200"}') == 40
        assert await node.metric("penstock_node_sent_bytes_total") == 40 * blob.size
        assert await node.metric("penstock_node_upstream_bytes_total") == blob.size
        fetched = f'penstock_node_upstream_requests_total{{status="200",upstream="{fake.host}"}}'
        assert await node.metric(fetched) == 1
        fast = await node.metric("penstock_node_fast_answers_total")
        for name in ("first_byte_seconds", "request_duration_seconds"):
            assert await node.metric(f'penstock_node_{name}_count{{route="blob"}}') == 40 - fast
        assert await node.metric("penstock_node_workers ") == 3
        assert plane.calls["WatchConfig"] == 1
        # A change reaches all of them by the one that follows, and only then the control plane hears of it.
        late = plane.add_token()
        await until(lambda: plane.reports[-1].revision == plane.revision)
        bodies = await asyncio.gather(*(node.process.get(path, late) for _ in range(20)))
        assert all(body == content_of(blob) for body in bodies)


async def test_workers_tell_each_other_what_they_have_resolved(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """Wherever the connections of one pull lead, the control plane is asked once for the manifest."""
    image = make_image([300_000, 300_000, 300_000])
    token = offer(plane, fake, image)
    async with node_of(plane, tmp_path / "data") as node:
        await node.process.get("/v2/acme/app/manifests/1.0", token)
        # A client reads it, and the others hear of it.
        await asyncio.sleep(0.5)
        for blob in image.layers:
            path = f"/v2/acme/app/blobs/{blob.digest}"
            bodies = await asyncio.gather(*(node.process.get(path, token) for _ in range(12)))
            assert all(body == content_of(blob) for body in bodies)
        assert plane.calls["ResolveReference"] == 1
        assert plane.calls["ResolveBlob"] == 0
        assert plane.calls["GetUpstreamAccess"] <= 3


async def test_workers_have_as_many_connections_as_each_other(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """Whatever the kernel gave them; and the successor of one that died is given what it needs for that.

    Two that each take one in the same moment do not know of each other's: one may have two more.
    """
    offer(plane, fake, make_image())
    async with node_of(plane, tmp_path / "data", 2) as node, AsyncExitStack() as stack:

        def even(count: int) -> bool:
            """Whether both have so many together, and nearly as many as each other."""
            counts = sorted(node.connections())
            return len(counts) == 2 and sum(counts) == count and counts[1] - counts[0] <= 2

        async def connect(count: int) -> None:
            host, _, port = node.process.registry.rpartition(":")
            for _ in range(count):
                _, writer = await asyncio.open_connection(host, int(port))
                stack.callback(writer.close)

        await connect(20)
        await until(lambda: even(20))
        os.kill(min(node.workers()), signal.SIGKILL)
        await until(lambda: len(node.connections()) == 1)
        left = sum(node.connections())
        async with asyncio.timeout(60):
            await node.restarted(1)
            await node.serving(2)
        await connect(left + 6)
        await until(lambda: even(2 * left + 6))


async def test_a_worker_that_dies_is_replaced(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """The others serve meanwhile, the node stays ready, and no counter falls."""
    image = make_image()
    token = offer(plane, fake, image)
    path = "/v2/acme/app/manifests/1.0"
    requests = 'penstock_node_requests_total{method="GET",route="manifest",status="200"}'
    async with node_of(plane, tmp_path / "data", 2) as node:
        await asyncio.gather(*(node.process.get(path, token) for _ in range(20)))
        assert await node.metric(requests) == 20
        before = node.workers()
        # The oldest is the one that follows the control plane for all.
        os.kill(min(before), signal.SIGKILL)
        async with asyncio.timeout(60):
            while (await node.ready())["workers"]["restarts"] == 0:
                # What was under way in the worker's own queue ends with it; a client tries again.
                with suppress(ConnectionError, asyncio.IncompleteReadError):
                    assert await node.process.get(path, token) == image.manifest
            await node.serving(2)
        assert len(node.workers() - before) == 1
        assert await node.metric(requests) >= 20
        assert await node.metric("penstock_node_worker_restarts_total") == 1
        # A new worker has what the others fetched, and goes on following.
        late = plane.add_token()
        await until(lambda: plane.reports[-1].revision == plane.revision)
        for _ in range(20):
            assert await node.process.get(path, late) == image.manifest


async def test_a_worker_that_dies_while_its_disk_is_away_is_replaced_later(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """What ends a node at its start does not end one that serves: the others go on, and it comes back."""
    image = make_image()
    token = offer(plane, fake, image)
    path, blobs = "/v2/acme/app/manifests/1.0", tmp_path / "data" / "blobs"
    async with node_of(plane, tmp_path / "data", 2) as node:
        await node.process.get(path, token)
        blobs.rename(tmp_path / "away")
        blobs.touch()
        os.kill(max(node.workers()), signal.SIGKILL)
        async with asyncio.timeout(60):
            while (ready := await node.ready())["workers"]["restarts"] < 2:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
            assert ready["workers"]["serving"] == 1
            assert await node.process.get(path, token) == image.manifest
            blobs.unlink()
            (tmp_path / "away").rename(blobs)
            await node.serving(2)
    assert "PENSTOCK_BLOB_STORE" in node.process.errors


async def test_what_is_cached_is_told_by_any_worker(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """By the next one when one is killed; where all hang the node says so, and goes on when they do."""
    image = make_image()
    token = offer(plane, fake, image)
    path = "/cached/acme/app?reference=1.0"
    async with node_of(plane, tmp_path / "data", 2) as node:
        assert json.loads((await node.ask(path, token))[1])["manifests"] == []
        await node.process.get("/v2/acme/app/manifests/1.0", token)
        # The worker that is asked has it once the other has written it down.
        while not (found := json.loads((await node.ask(path, token))[1]))["manifests"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert [blob["state"] for blob in found["blobs"]] == ["absent"] * len(image.blobs)
        assert await node.ask(path, "pst_nobody") == await node.ask("/nothing")
        workers = node.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        assert (await node.ask(path, token))[0] == 503
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        os.kill(min(workers), signal.SIGKILL)
        assert json.loads((await node.ask(path, token))[1]) == found


async def test_all_processes_that_are_told_to_end_let_transfers_finish(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """As systemd tells all of a service: a worker hears it twice, which is no wish to end at once."""
    blob = GeneratedBlob(1, 3_000_000)
    token = offer(plane, fake, make_image([blob]))
    gate = asyncio.Event()
    fake.faults.add("blobs", pause_after=1_000_000, gate=gate)
    async with node_of(plane, tmp_path / "data", 2) as node:
        reader, writer = await node.process.begin(f"/v2/acme/app/blobs/{blob.digest}", token)
        workers = node.workers()
        for pid in (*workers, node.process.process.pid):
            os.kill(pid, signal.SIGTERM)
        # The one without a transfer.
        await until(lambda: len(node.workers()) == 1)
        gate.set()
        assert await reader.read() == content_of(blob)
        writer.close()
        assert await node.process.process.wait() == 0


async def test_workers_end_with_their_supervisor(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """Also when it is killed and can tell them nothing: the port is free, and no process is left."""
    async with node_of(plane, tmp_path / "data", 2) as node:
        workers = node.workers()
        node.process.process.kill()
        await node.process.process.wait()
        await until(lambda: not any(Path(f"/proc/{pid}/fd").exists() and _runs(pid) for pid in workers))


def _runs(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


async def test_what_no_worker_can_work_with(tmp_path: Path, plane: FakeControlPlane) -> None:
    """Is said once, in one sentence, and ends all of them with exit code 78."""
    (tmp_path / "file").write_bytes(b"in the way")
    env = environment(
        tmp_path / "data",
        WORKERS="3",
        ADDRESS=plane.address,
        NODE_TOKEN=plane.token,
        BLOB_STORE=f"file://{tmp_path}/file/blobs",
    )
    code, said = await refusal(env)
    assert code == 78
    sentences = [line for line in said.splitlines() if "PENSTOCK_BLOB_STORE" in line]
    assert len(sentences) == 1
    assert "Traceback" not in said
