"""A node whose disk is read-only from the start, or fills up: it serves all the same, and says why."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dataplane.config.saved import SavedConfiguration
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane.conftest import until
from tests.integration.dataplane.test_process import offer
from tests.integration.dataplane.test_workers import node_of


def remount(disk: Path, how: str) -> None:
    """Make a disk read-only, or writable again."""
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


@pytest.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    """A control plane."""
    async with FakeControlPlane() as plane:
        yield plane


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED, for it takes root to mount a file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m,mode=700", "penstock-test", str(disk)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT TESTED, for it takes root to mount a file system: {done.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.slow
async def test_a_node_on_a_read_only_disk(plane: FakeControlPlane, fake: FakeRegistry, disk: Path) -> None:
    """Every worker serves what is stored and what is not; all of it is ready, and names the trouble."""
    image = make_image([1_000_000, 2_000_000])
    warm, cold = image.layers[:2]
    token = offer(plane, fake, image)
    async with node_of(plane, disk / "data", 2, CACHE_MIN_FREE_BYTES="0") as node:
        assert await node.process.get(f"/v2/acme/app/blobs/{warm.digest}", token) == content_of(warm)
        assert await node.process.get("/v2/acme/app/manifests/1.0", token) == image.manifest
        await until(lambda: (disk / "data" / "blobs" / "blobs" / "sha256" / warm.digest.encoded).exists())
        node.process.process.terminate()
        await node.process.process.wait()
    fetched = fake.count("GET", "blobs")

    remount(disk, "ro")
    async with node_of(plane, disk / "data", 2, CACHE_MIN_FREE_BYTES="0") as node:
        ready = await node.ready()
        assert "Read-only file system" in ready["cache"]["trouble"]
        assert ready["workers"]["serving"] == 2
        assert await node.metric("penstock_node_troubled ") == 1
        bodies = await asyncio.gather(
            *(node.process.get(f"/v2/acme/app/blobs/{warm.digest}", token) for _ in range(10))
        )
        assert all(body == content_of(warm) for body in bodies)
        assert fake.count("GET", "blobs") == fetched
        for _ in range(4):
            assert await node.process.get(f"/v2/acme/app/blobs/{cold.digest}", token) == content_of(cold)
            assert await node.process.get("/v2/acme/app/manifests/1.0", token) == image.manifest
        assert fake.count("GET", "blobs") == fetched + 4
        await node.at_rest(disk / "data")
    assert "Read-only file system" in node.process.errors
    assert "Traceback" not in node.process.errors


async def test_a_first_start_without_a_directory(
    plane: FakeControlPlane, fake: FakeRegistry, disk: Path
) -> None:
    """Nothing is there and nothing can be made: the node still serves."""
    image = make_image([1_000_000])
    token = offer(plane, fake, image)
    remount(disk, "ro")
    async with node_of(plane, disk / "data", 1) as node:
        assert "Read-only file system" in (await node.ready())["cache"]["trouble"]
        blob = image.layers[0]
        for _ in range(2):
            assert await node.process.get(f"/v2/acme/app/blobs/{blob.digest}", token) == content_of(blob)
        await node.at_rest(disk / "data")
    assert "PENSTOCK_DATA_DIR" in node.process.errors


@pytest.mark.slow
async def test_a_disk_that_fills_up_and_is_emptied(
    plane: FakeControlPlane, fake: FakeRegistry, disk: Path
) -> None:
    """Every client gets every byte meanwhile; the node stays ready, and uses the disk again."""
    blobs = [GeneratedBlob(seed, 10 << 20) for seed in range(2)]
    image = make_image([*blobs, 1_000_000])
    small = image.layers[-1]
    token = offer(plane, fake, image)
    async with node_of(plane, disk / "data", 2, CACHE_MIN_FREE_BYTES="0") as node:
        pulls = (node.process.get(f"/v2/acme/app/blobs/{blob.digest}", token) for blob in blobs * 3)
        bodies = await asyncio.gather(*pulls)
        assert bodies == [content_of(blob) for blob in blobs * 3]
        assert (await node.ready())["workers"]["restarts"] == 0
        # What is stored would be evicted to make room.
        stored = disk / "data" / "blobs" / "blobs" / "sha256"
        for blob in stored.iterdir():
            blob.unlink()
        (disk / "hog").write_bytes(b"")
        with (disk / "hog").open("ab", buffering=0) as hog, suppress(OSError):
            while hog.write(bytes(4096)):
                pass
        assert await node.process.get(f"/v2/acme/app/blobs/{small.digest}", token) == content_of(small)
        assert (await node.ready())["cache"]["trouble"]
        (disk / "hog").unlink()

        async with asyncio.timeout(60):
            while not (stored / small.digest.encoded).exists():
                assert await node.process.get(f"/v2/acme/app/blobs/{small.digest}", token) == content_of(
                    small
                )
                await asyncio.sleep(0.5)
        await node.at_rest(disk / "data")


@pytest.mark.slow
async def test_a_disk_that_is_read_only_for_a_while(
    plane: FakeControlPlane, fake: FakeRegistry, disk: Path
) -> None:
    """Every worker goes on, and takes what changes; all of it is on the disk when that is writable again."""
    image = make_image([1_000_000, 2_000_000])
    warm, cold = image.layers[:2]
    token = offer(plane, fake, image)
    # A file of events is open for writing: a disk with such a file is never made read-only in good order.
    async with node_of(plane, disk / "data", 2, CACHE_MIN_FREE_BYTES="0", PULL_EVENTS="false") as node:
        stored = disk / "data" / "blobs" / "blobs" / "sha256"
        assert await node.process.get(f"/v2/acme/app/blobs/{warm.digest}", token) == content_of(warm)
        await until(lambda: (stored / warm.digest.encoded).exists())
        remount(disk, "ro")
        late = plane.add_token()
        await until(lambda: plane.reports[-1].revision == plane.revision)
        assert plane.reports[-1].config_error == ""
        for blob in (warm, cold) * 4:
            assert await node.process.get(f"/v2/acme/app/blobs/{blob.digest}", late) == content_of(blob)
        assert "Read-only file system" in (await node.ready())["cache"]["trouble"]
        remount(disk, "rw")
        async with asyncio.timeout(90):
            while not (stored / cold.digest.encoded).exists():
                body = await node.process.get(f"/v2/acme/app/blobs/{cold.digest}", late)
                assert body == content_of(cold)
                await asyncio.sleep(0.5)
            while (await node.ready())["cache"]["trouble"]:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.5)
            saved = SavedConfiguration(disk / "data" / "node" / "configuration.pb")
            while (found := saved.load()) is None or found[0].revision < plane.revision:  # noqa: ASYNC110 - a disk
                await asyncio.sleep(0.5)
        await node.at_rest(disk / "data")
        assert (await node.ready())["workers"]["restarts"] == 0
