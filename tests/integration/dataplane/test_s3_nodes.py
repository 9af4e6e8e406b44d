"""Nodes that are processes, with disks of their own and one bucket."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.fakes.blobs import Blob, content_of
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.faulty_bucket import FaultyBucket
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane.test_process import offer, running
from tests.integration.dataplane.test_workers import Node
from tests.servers.moto import Moto
from tests.servers.redis_server import RedisServer

MIB = 1 << 20
LARGE = 20 * MIB


@pytest.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    """A control plane."""
    async with FakeControlPlane() as plane:
        yield plane


class Pair:
    """Both nodes, and how to start them."""

    def __init__(self, plane: FakeControlPlane, root: Path, **settings: str) -> None:
        self.plane = plane
        self.root = root
        self.settings = settings
        self.token = ""

    @asynccontextmanager
    async def node(self, name: str, **settings: str) -> AsyncIterator[Node]:
        """One of the nodes."""
        async with running(
            self.plane, self.root / name, **({"WORKERS": "1"} | self.settings | settings)
        ) as process:
            yield Node(process)

    async def pull(self, node: Node, blob: Blob) -> bytes:
        return await node.process.get(f"/v2/acme/app/blobs/{blob.digest}", self.token)

    def request(self, blob: Blob, fields: str = "") -> bytes:
        """A request that closes the connection, with these header fields as well."""
        line = f"GET /v2/acme/app/blobs/{blob.digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        return f"{line}{fields}Authorization: Bearer {self.token}\r\n\r\n".encode()

    async def uploaded(self, node: Node, blobs: int = 1) -> None:
        """Wait until so many blobs were put into the bucket."""
        async with asyncio.timeout(60):
            while await node.metric("penstock_node_bucket_uploads_total") < blobs:  # noqa: ASYNC110 - a process
                await asyncio.sleep(0.05)


@pytest.fixture
def pair(plane: FakeControlPlane, moto: Moto, aws: None, tmp_path: Path) -> Pair:
    """Nodes on an empty bucket."""
    return Pair(plane, tmp_path, BLOB_STORE=f"s3://{moto.new_bucket()}/cache", S3_ENDPOINT=moto.url)


async def test_what_one_node_has_fetched_the_other_streams_from_s3(
    pair: Pair, plane: FakeControlPlane, fake: FakeRegistry
) -> None:
    """The upstream is asked once for both; the second one's disk fills on the way, and ranges are ranges."""
    image = make_image([LARGE])
    (blob,) = image.layers
    content = content_of(blob)
    pair.token = offer(plane, fake, image)
    async with pair.node("one") as one, pair.node("two") as two:
        assert await pair.pull(one, blob) == content
        await pair.uploaded(one)

        # What a node has is what its disk has; that there is a bucket behind it is said beside that.
        await two.process.get("/v2/acme/app/manifests/1.0", pair.token)
        _, told = await two.ask("/cached/acme/app?reference=1.0", pair.token)
        assert {each["state"] for each in json.loads(told)["blobs"]} == {"absent"}
        assert json.loads(told)["bucket"]

        # A range of what is nowhere on this disk is a range from S3, and begins the fill.
        reader, writer = await two.process.connect()
        writer.write(pair.request(blob, f"Range: bytes={len(content) - 10}-\r\n"))
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/1.1 206 ")
        assert body == content[-10:]

        assert await pair.pull(two, blob) == content
        assert fake.count("GET", "blobs") == 1
        assert await two.metric("penstock_node_bucket_hits_total") >= 1
        stored = pair.root / "two/blobs/blobs/sha256" / blob.digest.encoded
        async with asyncio.timeout(60):
            while not stored.exists():  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        assert stored.stat().st_size == len(content)


@pytest.mark.parametrize("kept_in", ["bucket", pytest.param("redis", marks=pytest.mark.real)])
async def test_one_node_fetches_what_both_want(
    pair: Pair, plane: FakeControlPlane, fake: FakeRegistry, kept_in: str
) -> None:
    """Clients of both nodes want what neither has: the upstream is asked once, whoever keeps the lease."""
    image = make_image([2 * MIB])
    (blob,) = image.layers
    pair.token = offer(plane, fake, image)
    gate = asyncio.Event()
    fake.faults.add("blobs", pause_after=100_000, gate=gate)
    async with AsyncExitStack() as stack:
        if kept_in == "redis":
            server = RedisServer().start()
            stack.callback(server.remove)
            pair.settings["REDIS_URL"] = server.url
        one, two = [await stack.enter_async_context(pair.node(name)) for name in ("one", "two")]
        pulls = [asyncio.create_task(pair.pull(node, blob)) for node in (one, two) for _ in range(3)]
        async with asyncio.timeout(60):
            waits = "penstock_node_bucket_waits_total"
            while not await one.metric(waits) + await two.metric(waits):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
        gate.set()
        assert set(await asyncio.gather(*pulls)) == {content_of(blob)}
        assert fake.count("GET", "blobs") == 1


async def test_a_node_that_dies_keeps_nobody_waiting(
    pair: Pair, plane: FakeControlPlane, fake: FakeRegistry
) -> None:
    """Killed in mid-fetch: the other waits for a bounded time, and then helps itself."""
    image = make_image([2 * MIB])
    (blob,) = image.layers
    pair.token = offer(plane, fake, image)
    fake.faults.add("blobs", pause_after=100_000, times=1)
    async with pair.node("two", S3_WAIT="1s") as two:
        async with pair.node("one") as one:
            _, writer = await one.process.connect()
            writer.write(pair.request(blob))
            await fake.asked("blobs")
            os.kill(one.process.process.pid, signal.SIGKILL)
            writer.close()
        async with asyncio.timeout(60):
            assert await pair.pull(two, blob) == content_of(blob)
        assert await two.metric("penstock_node_bucket_waits_ended_total") == 1
        assert fake.count("GET", "blobs") == 2


async def test_what_a_node_has_not_put_into_s3_it_puts_there_when_it_is_back(
    pair: Pair, plane: FakeControlPlane, fake: FakeRegistry, moto: Moto
) -> None:
    """Killed while S3 failed: after the next start no other node needs the upstream for what this one has."""
    image = make_image([2 * MIB])
    (blob,) = image.layers
    pair.token = offer(plane, fake, image)
    async with FaultyBucket(moto.url) as s3:
        s3.fault = "503"
        async with pair.node("one", S3_ENDPOINT=s3.url) as one:
            assert await pair.pull(one, blob) == content_of(blob)
            async with asyncio.timeout(60):
                while not list((pair.root / "one/blobs/spool").glob("*.owed")):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
            os.kill(one.process.process.pid, signal.SIGKILL)
        s3.fault = ""
        async with pair.node("one", S3_ENDPOINT=s3.url, WORKERS="2") as one:
            await pair.uploaded(one)
    async with pair.node("two") as two:
        assert await pair.pull(two, blob) == content_of(blob)
    assert fake.count("GET", "blobs") == 1


async def test_a_worker_that_dies_keeps_the_turn_of_its_node(
    pair: Pair, plane: FakeControlPlane, fake: FakeRegistry
) -> None:
    """Its sibling goes on at once with what is on disk, and does not wait for a lease to end."""
    image = make_image([8 * MIB])
    (blob,) = image.layers
    pair.token = offer(plane, fake, image)
    fake.faults.add("blobs", pause_after=6 * MIB, times=1)
    async with pair.node("one", WORKERS="2", S3_WAIT="10m") as one:
        pulls = [asyncio.create_task(pair.pull(one, blob)) for _ in range(8)]
        await fake.asked("blobs")
        spools = pair.root / "one/blobs/spool"
        async with asyncio.timeout(60):
            while not any(path.stat().st_size > MIB for path in spools.glob("*.spool")):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        filling = _holder(spools, one.workers())
        os.kill(filling, signal.SIGKILL)
        ended = await asyncio.gather(*pulls, return_exceptions=True)
        whole = [body for body in ended if isinstance(body, bytes) and len(body) == blob.size]
        assert all(body == content_of(blob) for body in whole)
        async with asyncio.timeout(30):
            assert await pair.pull(one, blob) == content_of(blob)


def _holder(spools: Path, workers: set[int]) -> int:
    """The process that has the lock on the claim: its descriptor is in the table of locks."""
    inodes = {path.stat().st_ino for path in spools.glob("*.claim")}
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.replace(":", " ").split()
        if "FLOCK" in fields and int(fields[7]) in inodes and int(fields[4]) in workers:
            return int(fields[4])
    raise AssertionError(f"nobody holds {inodes} of {workers}: {Path('/proc/locks').read_text()}")
