"""What a bucket was to get and has not got yet: it gets it by itself, after a restart and after it failed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamNotFound
from dataplane.blobs import bucket_client, uploads
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.cache import BlobCache
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.faulty_bucket import FaultyBucket
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.buckets import filled, held, put, put_by_itself
from tests.unit.dataplane.blobs.reading import MIB, pull, settled, stored

BLOB, OTHER = GeneratedBlob(1, 3 * MIB), GeneratedBlob(2, MIB)
GONE = UpstreamNotFound("registry.example", "registry.example does not have it.")


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes look often for what is owed."""
    monkeypatch.setattr(uploads, "_LOOK", 0.1)


@pytest.fixture
async def broken_off(
    make_node: Callable[..., Any], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> BlobCache:
    """A node that was stopped while it uploaded two blobs."""
    node: BlobCache = await make_node()

    async def hang(*_: Any) -> bool:
        await asyncio.Event().wait()
        return True

    with monkeypatch.context() as patch:
        patch.setattr(bucket, "put", hang)
        for blob in (BLOB, OTHER):
            assert await pull(node, blob, ScriptedSource(blob)) == content_of(blob)
        await settled(node)
        await node.stop()
    assert await bucket.size(BLOB.digest) is None
    return node


async def test_what_a_stop_broke_off_is_put_after_the_next_start(
    broken_off: BlobCache, make_node: Callable[..., Any], bucket: Bucket, tmp_path: Path
) -> None:
    """Nobody has to ask for it; another node then has it without the upstream, and nothing stays noted."""
    node = await make_node()
    for blob in (BLOB, OTHER):
        await put_by_itself(bucket, blob)
    await node.uploaded()
    assert list((tmp_path / "node" / "spool").glob("*.owed")) == []
    nowhere = ScriptedSource(BLOB, Turn(refused=GONE))
    assert await pull(await make_node("other"), BLOB, nowhere) == content_of(BLOB)
    assert nowhere.asked == []


async def test_what_is_owed_is_verified_before_it_is_put(
    broken_off: BlobCache, make_node: Callable[..., Any], bucket: Bucket, tmp_path: Path
) -> None:
    """What the disk lost meanwhile is dropped, what was evicted forgotten; neither keeps others from it."""
    blobs = tmp_path / "node" / "blobs" / "sha256"
    with (blobs / BLOB.digest.encoded).open("r+b") as file:
        file.write(b"other bytes")
    third = GeneratedBlob(3, MIB)
    (tmp_path / "node" / "spool" / f"sha256-{third.digest.encoded}.owed").touch()
    (tmp_path / "node" / "spool" / "a-file-of-somebody-else.owed").touch()
    await make_node()
    await put_by_itself(bucket, OTHER)
    async with asyncio.timeout(20):
        while list((tmp_path / "node" / "spool").glob("sha256-*.owed")):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    assert await held(bucket, BLOB.digest) is None
    assert stored(tmp_path / "node") == {str(OTHER.digest)}


async def test_what_another_node_has_put_meanwhile_is_not_read_again(
    broken_off: BlobCache, make_node: Callable[..., Any], bucket: Bucket, tmp_path: Path
) -> None:
    """Nothing is owed any more: after a deploy, nodes do not read blobs for nothing."""
    for blob in (BLOB, OTHER):
        await put(bucket, blob.digest, content_of(blob))
    node = await make_node()
    async with asyncio.timeout(20):
        while list((tmp_path / "node" / "spool").glob("*.owed")):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)
    assert node.measures.scrubbed_bytes == 0


async def test_a_blob_is_put_by_one_process_of_a_node(
    make_node: Callable[..., Any], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others see that it does so, and go on where it has not."""
    begun: list[Digest] = []
    gate, put_now = asyncio.Event(), bucket.put

    async def put_late(digest: Digest, *what: Any) -> bool:
        begun.append(digest)
        await gate.wait()
        return await put_now(digest, *what)

    monkeypatch.setattr(bucket, "put", put_late)
    one, two = await make_node(), await make_node()
    assert await pull(one, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)
    await settled(one)
    await asyncio.sleep(0.5)
    assert begun == [BLOB.digest]
    await one.stop()
    gate.set()
    await put_by_itself(bucket, BLOB)
    await two.uploaded()
    assert begun == [BLOB.digest] * 2


async def test_what_was_fetched_while_the_bucket_failed_is_put_when_it_works_again(
    make_node: Callable[..., Any],
    bucket: Bucket,
    proxy: FaultyBucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the same process, without a restart."""
    monkeypatch.setattr(bucket_client, "_PAUSE", 0.3)
    node = await make_node()
    await proxy.stop()
    await filled(node, BLOB)
    assert node.measures.bucket_failures >= 1
    await proxy.start()
    await put_by_itself(bucket, BLOB)
