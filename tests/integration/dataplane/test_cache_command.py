"""`penstock cache` beside a node that runs, with several workers."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.oci.digest import Digest
from dataplane.blobs.files import FileStore
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane.conftest import until
from tests.integration.dataplane.test_process import offer
from tests.integration.dataplane.test_workers import Node, node_of
from tests.servers.command import Finished, run
from tests.servers.penstock import PROGRAM

BLOBS = [GeneratedBlob(seed, 1_000_000 + seed) for seed in range(3)]
DIGESTS = [str(blob.digest) for blob in BLOBS]


@pytest.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    """A control plane."""
    async with FakeControlPlane() as plane:
        yield plane


async def cache(data: Path, *argv: str) -> Finished:
    """Run `penstock cache`, as on the node's machine."""
    env = {"PENSTOCK_DATA_DIR": str(data), "PENSTOCK_CACHE_MAX_BYTES": "1GiB"}
    return await asyncio.to_thread(run, PROGRAM, "cache", *argv, env=env, ok=False)


async def filled(node: Node, data: Path, token: str) -> None:
    """Have the node store all blobs."""
    for blob in BLOBS:
        await node.process.get(f"/v2/acme/app/blobs/{blob.digest}", token)
    await until(lambda: all((data / f"blobs/blobs/sha256/{blob.digest.encoded}").exists() for blob in BLOBS))


async def needs_verifying(data: Path, digest: Digest) -> bool:
    """Whether a node would read a stored blob again before it serves it."""
    store = FileStore(data / "blobs")
    await store.prepare()
    stored = store.peek(digest)
    assert stored is not None
    stored.close()
    return stored.changed is not None


@pytest.mark.slow
async def test_looking_evicting_and_verifying(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """While the node serves: what is gone, or was rotten, is fetched again; what is being read stays."""
    data = tmp_path / "data"
    token = offer(plane, fake, make_image(list(BLOBS)))
    async with node_of(plane, data, 2) as node:
        await filled(node, data, token)
        listed, stats = await asyncio.gather(cache(data, "list"), cache(data, "stats", "--output", "json"))
        assert all(re.search(rf"{blob.digest} +{blob.size} +20", listed.out) for blob in BLOBS)
        counted = stats.json()
        assert (counted["blobs"], counted["size"]) == (3, sum(blob.size for blob in BLOBS))
        assert (counted["max_size"], counted["bucket"]) == (1 << 30, "")

        evicted = await cache(data, "evict", DIGESTS[0], "--output", "json")
        assert [(row["digest"], row["evicted"]) for row in evicted.json()] == [(DIGESTS[0], True)]
        before = fake.count("GET", "blobs")
        path = f"/v2/acme/app/blobs/{DIGESTS[0]}"
        assert await node.process.get(path, token) == content_of(BLOBS[0])
        assert fake.count("GET", "blobs") == before + 1

        rotten = data / "blobs/blobs/sha256" / BLOBS[1].digest.encoded
        with rotten.open("r+b") as file:
            file.seek(500_000)
            file.write(b"rot")
        restored = data / "blobs/blobs/sha256" / BLOBS[2].digest.encoded
        restored.write_bytes(restored.read_bytes())
        assert await needs_verifying(data, BLOBS[2].digest)
        verified = await cache(data, "verify", "--output", "json")
        assert verified.code == 1
        assert "1 of" in verified.err
        assert "verified" in verified.err
        assert {row["digest"] for row in verified.json() if not row["right"]} == {DIGESTS[1]}
        # No pull waits until it is read once more.
        assert not await needs_verifying(data, BLOBS[2].digest)
        path = f"/v2/acme/app/blobs/{DIGESTS[1]}"
        assert await node.process.get(path, token) == content_of(BLOBS[1])


@pytest.mark.slow
async def test_what_is_being_read_is_not_evicted(
    plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path
) -> None:
    """Its room would not come back before the client has all of it; who named it is told by the exit code."""
    data, large = tmp_path / "data", GeneratedBlob(9, 64 << 20)
    token = offer(plane, fake, make_image([large]))
    async with node_of(plane, data, 2) as node:
        await node.process.get(f"/v2/acme/app/blobs/{large.digest}", token)
        await until(lambda: (data / f"blobs/blobs/sha256/{large.digest.encoded}").exists())
        reader, writer = await node.process.begin(f"/v2/acme/app/blobs/{large.digest}", token)
        await reader.readexactly(1000)
        answer = await cache(data, "evict", str(large.digest), "--output", "json")
        assert [row["evicted"] for row in answer.json()] == [False]
        assert (answer.code, str(large.digest) in answer.err) == (1, True)
        every = await cache(data, "evict", "--all", "--output", "json")
        assert ([row["evicted"] for row in every.json()].count(False), every.code) == (1, 0)
        writer.transport.abort()


@pytest.mark.slow
async def test_what_cannot_be_done(tmp_path: Path) -> None:
    """One sentence each, and the exit code that says whose mistake it is."""
    nothing, nobody, unread = await asyncio.gather(
        cache(tmp_path, "list"), cache(tmp_path, "evict"), cache(tmp_path, "evict", "--unused-for", "soon")
    )
    assert (nothing.code, nothing.err.count("\n")) == (78, 1)
    assert "PENSTOCK_DATA_DIR" in nothing.err
    assert (nobody.code, unread.code) == (2, 2)
    (tmp_path / "blobs" / "blobs" / "sha256").mkdir(parents=True)
    (tmp_path / "blobs" / "blobs" / "sha512").mkdir()
    (tmp_path / "blobs" / "oci-layout").touch()
    wrong = await cache(tmp_path, "evict", "sha256:short")
    assert wrong.code == 2
    for verb in ("evict", "verify"):
        missing = await cache(tmp_path, verb, DIGESTS[0])
        assert (missing.code, DIGESTS[0] in missing.err) == (1, True), verb
