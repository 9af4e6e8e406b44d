"""Bucket, and a cache with a bucket behind its store, against a real S3 server on a socket."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamNotFound
from dataplane.blobs import bucket as bucket_module
from dataplane.blobs import bucket_client
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketClient, BucketFailed
from dataplane.blobs.bucket_leases import BucketLeases
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.files import FileStore
from dataplane.blobs.measures import Measures
from dataplane.blobs.patience import Patience
from dataplane.blobs.place import Place
from dataplane.blobs.space import Limits
from dataplane.blobs.turns import Turns
from tests.fakes.blobs import Blob, BytesBlob, GeneratedBlob, content_of
from tests.fakes.faulty_bucket import FaultyBucket
from tests.fakes.sources import ScriptedSource, Turn
from tests.servers.certificates import Authority
from tests.servers.moto import Moto
from tests.unit.dataplane.blobs.conformance import REQUIREMENTS, Kept, Read
from tests.unit.dataplane.blobs.reading import MIB, failed_pull, instantly, pull, settled, stored

BLOB = GeneratedBlob(1, 3 * MIB)
GONE = UpstreamNotFound("registry.example", "registry.example does not have it.")


@pytest.fixture
async def proxy(moto: Moto) -> AsyncIterator[FaultyBucket]:
    """The way to the server, where it can go wrong."""
    async with FaultyBucket(moto.url) as proxy:
        yield proxy


@pytest.fixture
def silence() -> float:
    """Seconds that the server may take; many, as this machine may be busy."""
    return 60.0


@pytest.fixture
async def bucket(
    proxy: FaultyBucket, moto: Moto, aws: None, monkeypatch: pytest.MonkeyPatch, silence: float
) -> AsyncIterator[Bucket]:
    """An empty bucket, used under a prefix."""
    monkeypatch.setattr(bucket_client, "_SILENCE", silence)
    monkeypatch.setattr(bucket_client, "_ANSWER", silence)
    async with BucketClient(Place(moto.new_bucket(), "cache/blobs-of-ours", proxy.url)) as client:
        yield Bucket(client)


@pytest.fixture
async def make_node(bucket: Bucket, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes caches with a disk of their own and the one bucket, as nodes have them."""
    async with AsyncExitStack() as stack:

        async def make(name: str = "node", **how: Any) -> BlobCache:
            store = FileStore(tmp_path / name)
            cache = BlobCache(
                store, tmp_path / name / "spool", bucket=bucket, patience=Patience(sleep=instantly), **how
            )
            stack.push_async_callback(cache.stop)
            await cache.start()
            return cache

        yield make


async def put(bucket: Bucket, digest: Digest, content: bytes) -> bool:
    """Puts bytes by way of an anonymous file."""
    with FileIO(os.memfd_create("blob"), "r+") as file:
        file.write(content)
        return await bucket.put(digest, file, len(content))


async def held(bucket: Bucket, digest: Digest) -> bytes | None:
    """What the bucket has under a digest."""
    async with bucket.open(digest) as stream:
        return None if stream is None else b"".join([chunk async for chunk in stream.chunks()])


async def filled(cache: BlobCache, blob: Blob) -> None:
    """Pulls a blob, and waits until it is in the bucket."""
    assert await pull(cache, blob, ScriptedSource(blob)) == content_of(blob)
    await settled(cache)
    await cache.uploaded()


class KeptInBucket:
    """See Kept."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._stack = AsyncExitStack()

    async def put(self, digest: Digest, content: bytes) -> None:
        await put(self._bucket, digest, content)

    async def open(self, digest: Digest) -> Read | None:
        stack = AsyncExitStack()
        stream = await stack.enter_async_context(self._bucket.open(digest))
        if stream is None:
            await stack.aclose()
            return None

        async def once() -> bytes:
            async with stack:
                return b"".join([chunk async for chunk in stream.chunks()])

        return once

    async def remove(self, digest: Digest) -> bool:
        return await self._bucket.remove(digest)

    async def sizes(self) -> dict[Digest, int]:
        return dict(await self._bucket.entries())


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.__name__)
async def test_conforms(bucket: Bucket, requirement: Callable[[Kept], Awaitable[None]]) -> None:
    """What every place for blobs must do."""
    await requirement(KeptInBucket(bucket))


async def test_large_blobs_go_up_in_parts_and_come_down_by_ranges(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, proxy: FaultyBucket
) -> None:
    """Several parts make one object; any range of it is exactly that range, with the size of the whole."""
    monkeypatch.setattr(bucket_module, "_PART", 5 * MIB)
    blob = GeneratedBlob(2, 11 * MIB + 1)
    content = content_of(blob)

    assert await put(bucket, blob.digest, content) is True
    assert await held(bucket, blob.digest) == content
    for start, stop in ((1, None), (5 * MIB - 1, 5 * MIB + 1), (blob.size - 1, None)):
        async with bucket.open(blob.digest, start, stop) as stream:
            assert stream is not None
            assert (stream.offset, stream.size) == (start, blob.size)
            assert b"".join([chunk async for chunk in stream.chunks()]) == content[start:stop]
    # What is there is not sent again.
    proxy.asked.clear()
    assert await put(bucket, blob.digest, content) is False
    assert [asked.partition(" ")[0] for asked in proxy.asked] == ["HEAD"]


async def test_another_part_than_was_asked_for_is_not_taken(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a blob cannot be verified: at least it has to say that it is the right one."""
    blob = GeneratedBlob(4, MIB)
    await put(bucket, blob.digest, content_of(blob))
    ask = bucket.client.ask

    async def shifted(operation: str, **parameters: Any) -> Any:
        return await ask(operation, **{**parameters, "Range": "bytes=0-9"})

    monkeypatch.setattr(bucket.client, "ask", shifted)
    with pytest.raises(BucketFailed, match="another than was asked for"):
        async with bucket.open(blob.digest, 10, 20):
            pass


async def test_an_upload_that_breaks_off_leaves_nothing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, proxy: FaultyBucket
) -> None:
    """The object is not there, and its parts are taken back."""
    monkeypatch.setattr(bucket_module, "_PART", 5 * MIB)
    ask = bucket.client.ask

    async def broken(operation: str, **parameters: Any) -> Any:
        if operation == "complete_multipart_upload":
            raise BucketFailed("no more")
        return await ask(operation, **parameters)

    monkeypatch.setattr(bucket.client, "ask", broken)
    blob = GeneratedBlob(3, 6 * MIB)
    with pytest.raises(BucketFailed):
        await put(bucket, blob.digest, content_of(blob))

    assert await bucket.size(blob.digest) is None
    left = await bucket.client.ask("list_multipart_uploads")
    assert left.get("Uploads", []) == []


async def test_one_of_two_nodes_puts_a_blob(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both found it absent: the server takes the first, and the second is no error."""

    async def absent(digest: Digest) -> None:
        return None

    monkeypatch.setattr(bucket, "size", absent)
    digest = Digest.of(b"content")
    assert await put(bucket, digest, b"content") is True
    assert await put(bucket, digest, b"content") is False
    monkeypatch.undo()
    assert await held(bucket, digest) == b"content"
    assert not bucket.pauses


async def test_what_one_node_fetched_the_next_has_from_the_bucket(
    make_node: Callable[..., Any], tmp_path: Path
) -> None:
    """One upstream request for two nodes; the second one's disk is filled on the way."""
    one, two = await make_node("one"), await make_node("two")
    await filled(one, BLOB)
    assert one.measures.bucket_uploads == 1

    nowhere = ScriptedSource(BLOB, Turn(refused=GONE))
    assert await pull(two, BLOB, nowhere) == content_of(BLOB)
    await settled(two)
    assert nowhere.asked == []
    assert two.measures.bucket_hits == 1
    assert stored(tmp_path / "two") == {str(BLOB.digest)}
    assert await pull(two, BLOB, nowhere) == content_of(BLOB)
    assert two.measures.hits == 1


async def test_what_the_hot_tier_evicts_stays_in_the_bucket(
    make_node: Callable[..., Any], tmp_path: Path
) -> None:
    """A disk for one blob is enough for all; one that the disk never takes is in the bucket as well."""
    cache = await make_node(limits=Limits(3 * MIB, low=1.0))
    other, large = GeneratedBlob(5, 2 * MIB), GeneratedBlob(6, 4 * MIB)
    for blob in (BLOB, other, large):
        await filled(cache, blob)
    assert stored(tmp_path / "node") == {str(other.digest)}

    for blob in (BLOB, large):
        nowhere = ScriptedSource(blob, Turn(refused=GONE))
        assert await pull(cache, blob, nowhere) == content_of(blob)
        assert nowhere.asked == []
        await settled(cache)


@pytest.mark.parametrize("silence", [2.0])
@pytest.mark.parametrize("fault", ["503", "hang", "stall", "cut"])
async def test_a_bucket_in_trouble_costs_nothing_but_the_upstream(
    make_node: Callable[..., Any], proxy: FaultyBucket, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """The upstream gives the blob, from where the bucket stopped, and is asked at once for a while."""
    await filled(await make_node("one"), BLOB)
    monkeypatch.setattr(bucket_client, "_ANSWER", 0.3)
    cache = await make_node("two")
    proxy.fault = fault
    proxy.asked.clear()

    source = ScriptedSource(BLOB)
    async with asyncio.timeout(30):
        assert await pull(cache, BLOB, source) == content_of(BLOB)
    await settled(cache)
    await cache.uploaded()
    other = GeneratedBlob(7, MIB)
    assert await pull(cache, other, ScriptedSource(other)) == content_of(other)
    await settled(cache)

    assert len(source.asked) == 1
    # What was on its way when the line broke is lost.
    assert source.asked[0] in (
        (0,) if fault in ("503", "hang") else range(BLOB.size // 4, BLOB.size // 2 + 1)
    )
    assert [asked for asked in proxy.asked if other.digest.encoded in asked] == []
    assert cache.measures.bucket_failures >= 1


async def test_a_bucket_that_is_gone(
    make_node: Callable[..., Any], proxy: FaultyBucket, bucket: Bucket
) -> None:
    """Nobody listens any more: blobs come from upstream, and uploads are given up, not held on to."""
    cache = await make_node()
    await proxy.stop()

    assert await pull(cache, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)
    await settled(cache)
    async with asyncio.timeout(5):
        await cache.uploaded()

    assert bucket.pauses
    assert cache.measures.bucket_failures >= 1
    assert cache.trouble == ""


@pytest.mark.parametrize("fault", ["flip", "short"])
async def test_wrong_bytes_of_a_small_blob_are_noticed_by_nobody(
    make_node: Callable[..., Any], proxy: FaultyBucket, bucket: Bucket, fault: str
) -> None:
    """Nothing was given yet: the upstream is asked instead, and the wrong object goes."""
    blob = BytesBlob(b"content of a small blob")
    await filled(await make_node("one"), blob)
    cache = await make_node("two")
    proxy.fault = fault

    source = ScriptedSource(blob)
    assert await pull(cache, blob, source) == blob.content
    await settled(cache)
    await cache.uploaded()

    assert source.asked == [0]
    proxy.fault = ""
    assert await held(bucket, blob.digest) in (blob.content, None)


async def test_wrong_bytes_of_a_large_blob_are_cut_short_once(
    make_node: Callable[..., Any], proxy: FaultyBucket, bucket: Bucket
) -> None:
    """Nobody gets the end; the object is dropped, so that the next pull is right, and puts it right."""
    await filled(await make_node("one"), BLOB)
    cache = await make_node("two")
    proxy.fault = "flip"
    got, failure = await failed_pull(cache, BLOB.digest, BLOB.size, ScriptedSource(BLOB))
    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.DIGEST
    assert len(got) < BLOB.size
    await cache.uploaded()
    proxy.fault = ""
    assert await bucket.size(BLOB.digest) is None

    await filled(cache, BLOB)
    assert await held(bucket, BLOB.digest) == content_of(BLOB)


async def test_a_far_range_comes_from_the_bucket_too(
    make_node: Callable[..., Any], proxy: FaultyBucket, tmp_path: Path
) -> None:
    """A part far ahead of the fill is a ranged request to the bucket."""
    blob = GeneratedBlob(8, 16 * MIB)
    await filled(await make_node("one"), blob)
    cache = await make_node("two")
    proxy.asked.clear()
    with await cache.open(blob.digest, blob.size, ScriptedSource(blob, Turn(refused=GONE))) as reader:
        part = b"".join([bytes(piece) async for piece in reader.read(15 * MIB, 15 * MIB + 10)])
    assert part == content_of(blob)[15 * MIB : 15 * MIB + 10]
    await settled(cache)
    assert stored(tmp_path / "two") == {str(blob.digest)}


async def test_a_server_with_a_certificate_of_ones_own(moto: Moto, aws: None, tmp_path: Path) -> None:
    """It is trusted with the authority's file, and only then."""
    authority = Authority()
    pair = authority.issue(tmp_path, "127.0.0.1")
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(authority.pem)
    name = moto.new_bucket()
    async with FaultyBucket(moto.url, pair.server_context()) as proxy:
        async with BucketClient(Place(name, "", proxy.url, ca_file)) as client:
            bucket = Bucket(client)
            assert await put(bucket, Digest.of(b"content"), b"content") is True
            assert await held(bucket, Digest.of(b"content")) == b"content"
        async with BucketClient(Place(name, "", proxy.url)) as client:
            with pytest.raises(BucketFailed, match="CERTIFICATE_VERIFY_FAILED"):
                await Bucket(client).size(Digest.of(b"content"))
    # The bucket is a part of the path: no name is to be resolved.
    assert all(asked.split()[1].startswith(f"/{name}/") for asked in proxy.asked)


async def test_a_server_that_does_not_know_conditions_takes_blobs(
    bucket: Bucket, proxy: FaultyBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses If-None-Match once, and is not asked for it again."""
    proxy.fault = "501"
    monkeypatch.setattr(bucket_module, "_PART", 5 * MIB)
    for blob in (BytesBlob(b"small"), GeneratedBlob(2, 5 * MIB + 1)):
        assert await put(bucket, blob.digest, content_of(blob)) is True
        assert await held(bucket, blob.digest) == content_of(blob)
    assert not bucket.pauses


async def test_an_upload_costs_a_part_of_memory(
    moto: Moto, aws: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large the blob is: it is read from its file part by part."""
    monkeypatch.setattr(bucket_module, "_PART", 5 * MIB)
    size = 60 * MIB
    async with BucketClient(Place(moto.new_bucket(), "", moto.url)) as client:
        with FileIO(os.memfd_create("blob"), "r+") as file:
            file.truncate(size)
            digest = Digest.of(b"not looked at here")
            # What is loaded once, at the first request, does not count.
            await Bucket(client).size(digest)
            tracemalloc.start()
            try:
                assert await Bucket(client).put(digest, file, size) is True
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert await Bucket(client).size(digest) == size
    assert most < 3 * 5 * MIB


@pytest.mark.parametrize("fails", [False, True], ids=["fetched", "refused"])
async def test_a_turn_lasts_until_the_blob_is_in_the_bucket(
    make_node: Callable[..., Any], bucket: Bucket, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """Not only until it is fetched; and no longer than there is a use in waiting."""
    gate, put_now = asyncio.Event(), bucket.put

    async def put_late(digest: Digest, file: FileIO, size: int) -> bool:
        await gate.wait()
        return await put_now(digest, file, size)

    monkeypatch.setattr(bucket, "put", put_late)
    turns = Turns(BucketLeases(bucket.client, "node"), bucket, Measures(), 5)
    cache, other = await make_node(turns=turns), BucketLeases(bucket.client, "other")
    if fails:
        await failed_pull(cache, BLOB.digest, BLOB.size, ScriptedSource(BLOB, Turn(refused=GONE)))
    else:
        assert await pull(cache, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)
        await settled(cache)
        await asyncio.sleep(0.3)
        assert not await other.take(BLOB.digest)
        gate.set()
        await cache.uploaded()
    async with asyncio.timeout(10):
        while not await other.take(BLOB.digest):  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.05)
