"""The node as a process: how it starts, says that it is ready, drains, and refuses to start."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import Image, make_image
from tests.fakes.registry import FakeRegistry

READY = re.compile(r"penstock dataplane is ready: registry at (\S+), health and metrics at (\S+)\n")


class Running:
    """A node's process, with the addresses it said it listens on."""

    def __init__(self, process: asyncio.subprocess.Process, registry: str, node: str) -> None:
        self.process = process
        self.registry = registry
        self.node = node
        self.errors = ""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, _, port = self.registry.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def begin(self, path: str, token: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a GET, and read the answer's headers."""
        reader, writer = await self.connect()
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        await reader.readuntil(b"\r\n\r\n")
        return reader, writer

    async def get(self, path: str, token: str) -> bytes:
        """The body of a GET, read until the connection ends."""
        reader, writer = await self.begin(path, token)
        body = await reader.read()
        writer.close()
        return body

    def memory(self) -> int:
        """Resident bytes of the largest of its processes."""
        pid = self.process.pid
        workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        statuses = [Path(f"/proc/{one}/status").read_text() for one in (pid, *workers)]
        return max(int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) for text in statuses) << 10  # type: ignore[index]


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """This process's environment with exactly these settings."""
    usual = {"DATA_DIR": str(data_dir), "REGISTRY_LISTEN": "127.0.0.1:0", "NODE_LISTEN": "127.0.0.1:0"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    return kept | {f"PENSTOCK_{name}": value for name, value in (usual | settings).items()}


async def spawn(env: dict[str, str]) -> asyncio.subprocess.Process:
    """Start a node."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "dataplane",
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def running(plane: FakeControlPlane, data_dir: Path, **settings: str) -> AsyncIterator[Running]:
    """A node that is ready; killed at the end where it still runs."""
    process = await spawn(environment(data_dir, ADDRESS=plane.address, NODE_TOKEN=plane.token, **settings))
    assert process.stdout is not None
    assert process.stderr is not None
    errors = asyncio.create_task(process.stderr.read())
    try:
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
        match = READY.fullmatch(line)
        assert match, line or (await errors).decode()
        found = Running(process, match[1], match[2])
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert await process.stdout.read() == b"", "one line, and no more"
    found.errors = (await errors).decode()
    assert plane.token not in found.errors


@pytest.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    """A control plane."""
    async with FakeControlPlane() as plane:
        yield plane


def offer(plane: FakeControlPlane, fake: FakeRegistry, image: Image) -> str:
    """Let both have an image as acme/app:1.0, and give a token that may pull it."""
    fake.add(image, "up/app", ["1.0"])
    plane.hold(plane.add_artifact("acme/app", f"{fake.host}/up/app"), image, ["1.0"])
    return plane.add_token()


async def test_a_node_serves_and_ends(plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path) -> None:
    """One line when it is ready, manifests and blobs, SIGTERM, exit code 0."""
    image = make_image()
    token = offer(plane, fake, image)
    async with running(plane, tmp_path / "data") as node:
        assert await node.get("/v2/acme/app/manifests/1.0", token) == image.manifest
        for digest, blob in image.blobs.items():
            assert await node.get(f"/v2/acme/app/blobs/{digest}", token) == content_of(blob)
        node.process.terminate()
        assert await node.process.wait() == 0
    assert token not in node.errors
    assert "Traceback" not in node.errors


async def test_sigterm_lets_transfers_finish(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """Nobody new is let in, it is no longer ready, and what was begun ends whole."""
    image = make_image([3_000_000])
    blob = image.layers[0]
    token = offer(plane, fake, image)
    gate = asyncio.Event()
    fake.faults.add("blobs", pause_after=1_000_000, gate=gate)
    async with running(plane, tmp_path / "data") as node:
        reader, writer = await node.begin(f"/v2/acme/app/blobs/{blob.digest}", token)
        node.process.terminate()
        async with asyncio.timeout(30):
            # Refused, or reset when it was still in the queue.
            with suppress(ConnectionError):
                while True:
                    _, idle = await node.connect()
                    idle.close()
        host, _, port = node.node.rpartition(":")
        health, asking = await asyncio.open_connection(host, int(port))
        asking.write(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert b"503" in await health.readline()
        asking.close()
        gate.set()
        assert await reader.read() == content_of(blob)
        writer.close()
        assert await node.process.wait() == 0


@pytest.mark.parametrize("signals", [1, 2])
async def test_a_node_does_not_wait_for_ever(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path, signals: int
) -> None:
    """The drain time-out, or a second signal, cuts what is left below its announced length."""
    image = make_image([3_000_000])
    blob = image.layers[0]
    token = offer(plane, fake, image)
    fake.faults.add("blobs", pause_after=1_000_000)
    limit = "200ms" if signals == 1 else "10m"
    async with running(plane, tmp_path / "data", DRAIN_TIMEOUT=limit) as node:
        reader, writer = await node.begin(f"/v2/acme/app/blobs/{blob.digest}", token)
        node.process.terminate()
        if signals == 2:
            await asyncio.sleep(0.3)
            node.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            try:
                body = await reader.read()
            except ConnectionResetError:
                body = b""
            assert len(body) < blob.size
            assert await node.process.wait() == 0
        writer.close()


@pytest.mark.slow
async def test_kill_leaves_no_half_blob(plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path) -> None:
    """Killed in mid-fetch: the next process serves what was complete, and fetches the rest anew."""
    image = make_image([b"small", 3_000_000])
    small, large = image.layers
    token = offer(plane, fake, image)
    async with running(plane, tmp_path / "data") as node:
        assert await node.get(f"/v2/acme/app/blobs/{small.digest}", token) == content_of(small)
        fake.faults.add("blobs", pause_after=1_000_000)
        _, writer = await node.begin(f"/v2/acme/app/blobs/{large.digest}", token)
        node.process.kill()
        await node.process.wait()
        writer.close()
    fake.faults.clear()
    before = fake.count("GET", "blobs")
    async with running(plane, tmp_path / "data") as node:
        assert await node.get(f"/v2/acme/app/blobs/{small.digest}", token) == content_of(small)
        assert fake.count("GET", "blobs") == before
        assert await node.get(f"/v2/acme/app/blobs/{large.digest}", token) == content_of(large)
        node.process.terminate()
        assert await node.process.wait() == 0
    assert not list((tmp_path / "data").rglob("*.spool"))


async def refusal(env: dict[str, str]) -> tuple[int, str]:
    """The exit code of a node that does not start, and what it says; on standard error alone."""
    process = await spawn(env)
    async with asyncio.timeout(60):
        out, errors = await process.communicate()
    assert out == b""
    assert process.returncode is not None
    return process.returncode, errors.decode()


@pytest.mark.parametrize("setting", ["REGISTRY_LISTEN", "NODE_LISTEN"])
async def test_a_port_that_is_taken(tmp_path: Path, setting: str) -> None:
    """One sentence that names the setting, exit code 78, and nothing on disk is touched."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = await refusal(environment(tmp_path / "data", **{setting: f"127.0.0.1:{port}"}))
    assert code == 78
    assert f"PENSTOCK_{setting}" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("DRAIN_TIMEOUT", "soon"), ("LOG_LEVEL", "loud"), ("ADDRESS", "nowhere"), ("BLOB_STORE", "s3://x")],
)
async def test_a_wrong_setting(tmp_path: Path, setting: str, value: str) -> None:
    """One sentence that names it, exit code 78."""
    code, said = await refusal(environment(tmp_path / "data", **{setting: value}))
    assert (code, said.count("\n")) == (78, 1)
    assert f"PENSTOCK_{setting}" in said


async def test_a_data_directory_that_cannot_be_written(tmp_path: Path) -> None:
    """One sentence that names the setting, exit code 78."""
    (tmp_path / "file").write_bytes(b"in the way")
    code, said = await refusal(environment(tmp_path / "file" / "data"))
    assert (code, said.count("\n")) == (78, 1)
    assert "PENSTOCK_DATA_DIR" in said


async def test_a_token_file_that_holds_no_token(plane: FakeControlPlane, tmp_path: Path) -> None:
    """Which would never get better by waiting."""
    (tmp_path / "node-token").write_text("two words\n")
    code, said = await refusal(environment(tmp_path, ADDRESS=plane.address))
    assert code == 78
    assert "node-token" in said


@pytest.mark.slow
async def test_two_hundred_pulls_of_half_a_gibibyte(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """All in flight, cold and then warm, with clients that stop reading: under 300 MiB resident."""
    layer = GeneratedBlob(1, 500 << 20)
    image = make_image([layer])
    token = offer(plane, fake, image)
    gate = asyncio.Event()
    fake.faults.add("blobs", pause_after=400 << 20, gate=gate, times=1)
    async with running(plane, tmp_path / "data") as node:
        for pulled in (64 << 20, 1 << 20):
            pulls = [await node.begin(f"/v2/acme/app/blobs/{layer.digest}", token) for _ in range(200)]
            # One goes on, so that the fetch does; the others have got something and take no more.
            for reader, _ in pulls:
                await reader.readexactly(1 << 16)
            await pulls[0][0].readexactly(pulled)
            assert node.memory() < 300 << 20
            gate.set()
            for _, writer in pulls:
                writer.transport.abort()
