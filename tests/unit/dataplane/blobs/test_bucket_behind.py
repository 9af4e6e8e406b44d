"""A cache with a bucket behind its store: what nodes that share one have of it, and when it fails."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from io import FileIO
from math import inf
from pathlib import Path
from typing import Any

import pytest

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamNotFound
from clients.oci.request import Timeouts
from dataplane.blobs import bucket_client
from dataplane.blobs import turns as turns_module
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_leases import BucketLeases
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.measures import Measures
from dataplane.blobs.space import Limits
from dataplane.blobs.turns import Turns
from tests.fakes.blobs import BytesBlob, GeneratedBlob, content_of
from tests.fakes.faulty_bucket import FaultyBucket
from tests.fakes.sources import ScriptedSource, ScriptedStream, Turn
from tests.unit.dataplane.blobs.buckets import filled, held, put
from tests.unit.dataplane.blobs.reading import MIB, failed_pull, pull, settled, stored

BLOB = GeneratedBlob(1, 3 * MIB)
GONE = UpstreamNotFound("registry.example", "registry.example does not have it.")


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


async def test_what_was_lost_a_moment_after_it_was_seen_comes_from_upstream(
    make_node: Callable[..., Any], bucket: Bucket
) -> None:
    """What a node remembers of the bucket decides nothing where it reads itself: no client notices."""
    one, two = await make_node("one"), await make_node("two")
    await filled(one, BLOB)
    assert await bucket.size(BLOB.digest) == BLOB.size
    await bucket.client.ask("delete_object", Key=bucket.key(BLOB.digest))
    assert bucket.sightings.has(BLOB.digest, BLOB.size)

    source = ScriptedSource(BLOB)
    assert await pull(two, BLOB, source) == content_of(BLOB)
    assert source.asked == [0]


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


async def test_what_broke_off_goes_on_from_what_another_node_has_put_there(
    make_node: Callable[..., Any], bucket: Bucket
) -> None:
    """The upstream gives no more of it, and another node was luckier: no client notices."""
    gate, cache = asyncio.Event(), await make_node()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, cut_after=MIB, gate=gate), *[Turn(refused=GONE)] * 10)
    pulling = asyncio.create_task(pull(cache, BLOB, source))
    while cache.measures.upstream_bytes < MIB:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    assert await put(bucket, BLOB.digest, content_of(BLOB))
    gate.set()
    assert await pulling == content_of(BLOB)
    assert source.asked == [0]
    assert cache.measures.bucket_hits == 1
    await settled(cache)


class Dripping(ScriptedSource):
    """Gives a tenth of the blob, and then a byte now and then."""

    @asynccontextmanager
    async def open(self, offset: int, stop: int | None = None) -> AsyncIterator[ScriptedStream]:
        async with super().open(offset, stop) as stream:
            yield DrippingStream(stream.turn, stream.blob, stream.offset, stream.size)


class DrippingStream(ScriptedStream):
    """See Dripping."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        content = content_of(self.blob)[self.offset :]
        yield content[: self.blob.size // 10]
        for byte in content[self.blob.size // 10 :]:
            await asyncio.sleep(0.02)
            yield bytes([byte])


async def test_a_fetch_that_drips_goes_on_from_what_another_node_has_put_there(
    make_node: Callable[..., Any], bucket: Bucket
) -> None:
    """Its own clients are not the last to have the blob; it is not fetched again from the start."""
    turns = Turns(BucketLeases(bucket.client, "node"), bucket, Measures(), 5, lasts=0.9)
    cache, source = await make_node(turns=turns), Dripping(BLOB)
    pulling = asyncio.create_task(pull(cache, BLOB, source))
    while cache.measures.upstream_bytes < BLOB.size // 10:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    assert await put(bucket, BLOB.digest, content_of(BLOB))
    async with asyncio.timeout(30):
        assert await pulling == content_of(BLOB)
    assert source.asked == [0]
    assert cache.measures.upstream_bytes < 1.1 * BLOB.size
    await settled(cache)


async def test_a_bucket_that_drips_is_broken_off_like_an_upstream(
    make_node: Callable[..., Any],
    proxy: FaultyBucket,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is never silent, and yet no client would live to see the end: the upstream goes on from there."""
    await filled(await make_node("one"), BLOB)
    monkeypatch.setattr(bucket, "timeouts", Timeouts(window=0.5))
    cache = await make_node("two")
    proxy.fault = "drip"

    source = ScriptedSource(BLOB)
    async with asyncio.timeout(30):
        assert await pull(cache, BLOB, source) == content_of(BLOB)
    assert len(source.asked) == 1
    assert source.asked[0] in range(BLOB.size // 4, BLOB.size // 2 + 1000)
    assert "it sent fewer than 1000 bytes a second" in caplog.text


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


async def test_what_takes_the_place_of_wrong_bytes_is_put_after_they_are_dropped(
    make_node: Callable[..., Any], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However quickly it came: it is not taken to be there, nor dropped in their place."""
    blob, remove = BytesBlob(b"content of a small blob"), bucket.remove
    await put(bucket, blob.digest, bytes(blob.size))
    cache = await make_node()

    async def remove_late(digest: Digest) -> bool:
        await settled(cache)
        await asyncio.sleep(0.2)
        return await remove(digest)

    monkeypatch.setattr(bucket, "remove", remove_late)
    assert await pull(cache, blob, ScriptedSource(blob)) == blob.content
    await cache.uploaded()
    assert await held(bucket, blob.digest) == blob.content


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


async def test_wrong_bytes_are_dropped_by_a_node_that_keeps_nothing_as_well(
    make_node: Callable[..., Any], bucket: Bucket
) -> None:
    """A disk without room does not make one wrong object the end of every pull."""
    await put(bucket, BLOB.digest, bytes(BLOB.size))
    cache = await make_node(limits=Limits(min_free_bytes=1 << 60))
    got, failure = await failed_pull(cache, BLOB.digest, BLOB.size, ScriptedSource(BLOB))
    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.DIGEST
    assert len(got) < BLOB.size
    await cache.uploaded()
    assert await bucket.size(BLOB.digest) is None
    assert await pull(cache, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)


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


@pytest.mark.parametrize("fails", [False, True], ids=["fetched", "refused"])
async def test_a_turn_lasts_until_the_blob_is_in_the_bucket(
    make_node: Callable[..., Any], bucket: Bucket, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """Not only until it is fetched; and no longer than there is a use in waiting."""
    gate, put_now = asyncio.Event(), bucket.put

    async def put_late(*what: Any) -> bool:
        await gate.wait()
        return await put_now(*what)

    monkeypatch.setattr(bucket, "put", put_late)
    turns = Turns(BucketLeases(bucket.client, "node"), bucket, Measures(), 5)
    cache, other = await make_node(turns=turns), BucketLeases(bucket.client, "other")
    if fails:
        await failed_pull(cache, BLOB.digest, BLOB.size, ScriptedSource(BLOB, Turn(refused=GONE)))
    else:
        assert await pull(cache, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)
        await settled(cache)
        await asyncio.sleep(0.3)
        assert not await other.take((BLOB.digest, BLOB.size, ""))
        gate.set()
        await cache.uploaded()
    async with asyncio.timeout(10):
        while not await other.take((BLOB.digest, BLOB.size, "")):  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("goes_on", [False, True], ids=["hangs", "goes on"])
async def test_others_wait_for_uploads_that_go_on(
    make_node: Callable[..., Any], bucket: Bucket, monkeypatch: pytest.MonkeyPatch, *, goes_on: bool
) -> None:
    """Long ones too, and what waits behind them; a hanging one has no other node wait for it."""
    over, begun = asyncio.Event(), 0

    async def put_slowly(digest: Digest, file: FileIO, size: int, sent: Callable[[int], None]) -> bool:
        nonlocal begun
        begun += 1
        while not over.is_set():
            await asyncio.sleep(0.05)
            if goes_on:
                sent(MIB)
        return True

    monkeypatch.setattr(bucket, "put", put_slowly)
    turns = Turns(BucketLeases(bucket.client, "node"), bucket, Measures(), 60, lasts=0.9)
    cache, other = await make_node(turns=turns), BucketLeases(bucket.client, "other", lasts=60)
    blobs = [GeneratedBlob(number, MIB) for number in range(20, 23)]
    for blob in blobs:
        assert await pull(cache, blob, ScriptedSource(blob)) == content_of(blob)
    await settled(cache)
    if goes_on:
        await asyncio.sleep(2)
        assert not any([await other.take((blob.digest, blob.size, "")) for blob in blobs])
    else:
        async with asyncio.timeout(20):
            for blob in blobs:
                while not await other.take((blob.digest, blob.size, "")):  # noqa: ASYNC110 - a server
                    await asyncio.sleep(0.05)
    assert begun == 2
    over.set()


async def test_a_fetch_that_stands_still_keeps_no_other_node_waiting(
    make_node: Callable[..., Any], bucket: Bucket
) -> None:
    """Its node gives the turn back long before the other has waited as long as it may; and takes no harm."""

    def turns(owner: str) -> Turns:
        return Turns(BucketLeases(bucket.client, owner), bucket, measures, 10, lasts=0.9)

    measures = Measures()
    one, two = await make_node("one", turns=turns("one")), await make_node("two", turns=turns("two"))
    gate = asyncio.Event()
    still = asyncio.create_task(pull(one, BLOB, ScriptedSource(BLOB, Turn(pause_after=100_000, gate=gate))))
    while one.measures.upstream_bytes < 100_000:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)

    source = ScriptedSource(BLOB)
    assert await pull(two, BLOB, source) == content_of(BLOB)
    assert source.asked == [0]
    assert (measures.bucket_waits, measures.bucket_waits_ended) == (1, 0)
    gate.set()
    assert await still == content_of(BLOB)
    for node in (one, two):
        await settled(node)
        await node.uploaded()


async def test_what_one_node_fetches_ahead_hurries_for_clients_of_another(
    make_node: Callable[..., Any], bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is fetched once all the same, and as fast as if the client had come to that node."""
    monkeypatch.setattr(turns_module, "_FLOOR", 0)
    one, two = [
        await make_node(
            name, turns=Turns(BucketLeases(bucket.client, name), bucket, Measures(), inf, lasts=0.9)
        )
        for name in ("one", "two")
    ]
    gate, source = asyncio.Event(), ScriptedSource(BLOB)
    gentle = ScriptedSource(BLOB, Turn(pause_after=100_000, gate=gate))
    with await one.open(BLOB.digest, BLOB.size, gentle, ahead=True):
        while one.measures.upstream_bytes < 100_000:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        pulling = asyncio.create_task(pull(two, BLOB, source))
        async with asyncio.timeout(30):
            while not one.hurries(BLOB.digest, BLOB.size):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)
        gate.set()
        assert await pulling == content_of(BLOB)
    assert source.asked == []
    for node in (one, two):
        await settled(node)
        await node.uploaded()
