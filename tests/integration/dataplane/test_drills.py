"""Bad days of a whole node: it never serves a wrong byte, holds on to nothing, and works again by itself."""

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from clients.oci.transport import Timeouts, Transport
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane import rest
from tests.integration.dataplane.conftest import Setup, until
from tests.integration.dataplane.test_process import offer
from tests.integration.dataplane.test_workers import Node, node_of

pytestmark = pytest.mark.slow

MIB = 1 << 20
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@pytest.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    """A control plane."""
    async with FakeControlPlane() as plane:
        yield plane


async def test_an_upstream_that_breaks_off_again_and_again(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """At 10, 50 and 99 percent of three blobs: every client gets every byte, hardly one comes twice."""
    blobs = [GeneratedBlob(seed, 20 * MIB) for seed in range(3)]
    token = offer(plane, fake, make_image(list(blobs)))
    async with node_of(plane, tmp_path / "data", 2) as node:
        for blob in blobs:
            before, reached = fake.bytes_sent, 0
            for percent in (10, 50, 99):
                at = blob.size * percent // 100
                fake.faults.add("blobs", cut_after=at - reached, times=1)
                reached = at
            path = f"/v2/acme/app/blobs/{blob.digest}"
            bodies = await asyncio.gather(*(node.process.get(path, token) for _ in range(16)))
            assert all(body == content_of(blob) for body in bodies)
            assert fake.bytes_sent - before <= 1.05 * blob.size


@pytest.mark.usefixtures("at_rest")
async def test_an_upstream_that_stalls(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its answer and in the middle of a blob, for ever: it is asked anew, and all get every byte."""
    quick = partial(Transport, timeouts=Timeouts(idle=0.3))
    monkeypatch.setattr("dataplane.node.Transport", quick)
    await setup.restart()
    blob = GeneratedBlob(4, 4 * MIB)
    await setup.artifact(make_image([blob]))
    setup.upstream.faults.add("blobs", pause_after=2 * MIB, times=1)
    setup.upstream.faults.add("blobs", stall=True, times=1)
    answers = await asyncio.gather(*(setup.get(f"blobs/{blob.digest}") for _ in range(5)))
    assert all((answer.status, answer.body) == (200, content_of(blob)) for answer in answers)


@pytest.mark.usefixtures("at_rest")
async def test_cached_bytes_that_are_flipped(setup: Setup) -> None:
    """By whoever writes to the file of a blob: nobody gets them, and it is fetched again, each time."""
    blob = GeneratedBlob(3, 4 * MIB)
    await setup.artifact(make_image([blob]))
    path = setup.data_dir / "blobs" / "blobs" / "sha256" / blob.digest.encoded
    tasks = rest.tasks()
    for fetches in (1, 2, 3):
        answers = await asyncio.gather(*(setup.get(f"blobs/{blob.digest}") for _ in range(5)))
        assert all((answer.status, answer.body) == (200, content_of(blob)) for answer in answers)
        assert setup.upstream.count("GET", "blobs") == fetches
        # Until it has ended, a fetch gives what it has written itself.
        await setup.rest(tasks)
        with path.open("r+b") as file:
            file.seek(fetches * MIB)
            file.write(bytes(reversed(content_of(blob)[fetches * MIB :][:16])))
    assert await setup.metric("penstock_node_rotten_blobs_total") == 2


@pytest.mark.real
async def test_all_processes_are_killed(plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path) -> None:
    """Every worker at once, in mid-fetch, twice: new ones take their place and go on where it stopped."""
    blob = GeneratedBlob(5, 16 * MIB)
    token = offer(plane, fake, make_image([blob]))
    path = f"/v2/acme/app/blobs/{blob.digest}"
    supervised: list[int] = []
    async with node_of(plane, tmp_path / "data", 2) as node:
        for part in (4, 8):
            gate = asyncio.Event()
            fake.faults.add("blobs", pause_after=4 * MIB, gate=gate, times=1)
            reader, writer = await node.process.begin(path, token)
            await reader.readexactly((part - 1) * MIB)
            before = node.workers()
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            with suppress(ConnectionError):
                assert len(await reader.read()) < blob.size
            writer.close()
            gate.set()
            await until_served(node, 2)
            assert not node.workers() & before
            supervised.append(rest.descriptors([node.process.process.pid]))
        assert await node.process.get(path, token) == content_of(blob)
        await node.at_rest(tmp_path / "data")
        # Nothing of those that died stays with their supervisor.
        assert supervised[0] == supervised[1]
        assert fake.bytes_sent <= 1.2 * blob.size


@pytest.mark.real
async def test_a_clock_that_jumps(plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path) -> None:
    """Two days on, and four back: pulls, new tokens and expiry go on; nothing is fetched twice."""
    if not FAKETIME.exists():  # noqa: ASYNC240 - once, before anything runs
        pytest.skip("NOT TESTED, for libfaketime is not there")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    environment = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    blobs = [GeneratedBlob(seed, MIB) for seed in range(6, 9)]
    image = make_image(list(blobs))
    token = offer(plane, fake, image)
    passing = plane.add_token(expires_at=time.time() + 86_400)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        running = node_of(plane, tmp_path / "data", 2, SCRUB_RATE="1GiB")
        node = await running.__aenter__()
    try:
        manifest = "/v2/acme/app/manifests/1.0"
        assert await node.process.get(manifest, passing) == image.manifest
        for blob, jump in zip(blobs, ("+0", "+2d", "-2d"), strict=True):
            clock.write_text(jump)
            for _ in range(4):
                assert await node.process.get(manifest, token) == image.manifest
                for pulled in blobs[: blobs.index(blob) + 1]:
                    path = f"/v2/acme/app/blobs/{pulled.digest}"
                    assert await node.process.get(path, token) == content_of(pulled)
            late = plane.add_token()
            await until(lambda: plane.reports[-1].revision == plane.revision)
            assert await node.process.get(manifest, late) == image.manifest
            assert await status(node, manifest, passing) == (401 if jump == "+2d" else 200)
        assert await node.process.get(manifest, passing) == image.manifest
        assert fake.count("GET", "blobs") == len(blobs)
        assert (await node.ready())["workers"]["restarts"] == 0
        await node.at_rest(tmp_path / "data")
    finally:
        await running.__aexit__(None, None, None)


async def status(node: Node, path: str, token: str) -> int:
    """The status of a GET."""
    reader, writer = await node.process.connect()
    writer.write(f"GET {path} HTTP/1.0\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return int(answer.split()[1])


def held(node: Node) -> tuple[int, int]:
    """Open files, and resident bytes, of all processes."""
    memory = 0
    for pid in (pids := [node.process.process.pid, *node.workers()]):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        memory += pages * os.sysconf("SC_PAGE_SIZE")
    return rest.descriptors(pids), memory


async def test_ten_thousand_clients_that_leave(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """In any moment of any request, cold and warm: no file, connection or memory stays with the node."""
    chance = random.Random(1)
    blobs = [GeneratedBlob(seed, 2 * MIB) for seed in range(10, 30)]
    token = offer(plane, fake, make_image(list(blobs)))
    fake.faults.add("blobs", rate=4.0 * MIB)
    busy = asyncio.Semaphore(50)

    async def leave(node: Node) -> None:
        blob = chance.choice(blobs)
        ranged = chance.choice(
            ("", "", f"Range: bytes={chance.randrange(MIB)}-\r\n", "Range: bytes=0-9,5000-\r\n")
        )
        request = (
            f"GET /v2/acme/app/blobs/{blob.digest} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        )
        whole = f"{request}{ranged}\r\n".encode()
        async with busy:
            reader, writer = await node.process.connect()
            # A part of the request, or all of it and some of the answer.
            writer.write(whole if chance.random() < 0.9 else whole[: chance.randrange(len(whole))])
            with suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(chance.choice((0, 0.001, 0.02))):
                    await reader.readexactly(chance.choice((1, 1000, MIB)))
            writer.transport.abort()

    async def pulled(node: Node) -> None:
        for blob in blobs:
            path = f"/v2/acme/app/blobs/{blob.digest}"
            assert await node.process.get(path, token) == content_of(blob)

    async with node_of(plane, tmp_path / "data", 2, HEADER_TIMEOUT="1s") as node:
        # What a node keeps for itself once it has worked is no leak.
        await asyncio.gather(*(leave(node) for _ in range(500)))
        await pulled(node)
        await node.at_rest(tmp_path / "data")
        files, memory = held(node)
        await asyncio.gather(*(leave(node) for _ in range(10_000)))
        await node.at_rest(tmp_path / "data")
        await pulled(node)
        await node.at_rest(tmp_path / "data")
        after = held(node)
        assert after[0] <= files + 4
        assert after[1] - memory < 32 * MIB
        assert fake.count("GET", "blobs") < 3 * len(blobs)
        assert (await node.ready())["workers"]["restarts"] == 0


async def until_served(node: Node, count: int) -> None:
    """Wait until so many workers serve, of a node that may not be ready."""
    async with asyncio.timeout(60):
        while True:
            status, body = await node.ask("/readyz")
            if status == 200 and json.loads(body)["workers"]["serving"] == count:
                return
            await asyncio.sleep(0.05)
