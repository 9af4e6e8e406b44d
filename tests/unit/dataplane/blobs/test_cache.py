"""BlobCache: one fetch for everybody, nothing unverified, nothing left behind."""

import asyncio
import os
from pathlib import Path

import pytest

from clients.oci.digest import Digest
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.fill import HELD_BACK
from tests.fakes.blobs import BytesBlob, GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import (
    MIB,
    pull,
    read,
    settled,
    spools,
    stored,
)


async def test_the_first_pull_fetches_and_the_second_does_not(cache: BlobCache, root: Path) -> None:
    """What was pulled once is served from disk, byte for byte, without the upstream."""
    blob = GeneratedBlob(1, 3 * MIB + 17)
    source = ScriptedSource(blob)

    with await cache.open(blob.digest, blob.size, source) as cold:
        assert not cold.warm
        assert await read(cold) == content_of(blob)
    await settled(cache)
    with await cache.open(blob.digest, blob.size, source) as warm:
        assert warm.warm
        assert await read(warm) == content_of(blob)

    assert source.asked == [0]
    assert stored(root) == {str(blob.digest)}
    assert spools(root) == []
    measures = cache.measures
    assert (measures.misses, measures.hits, measures.followers) == (1, 1, 0)
    assert (measures.cache_blobs, measures.cache_bytes) == (1, blob.size)
    assert measures.upstream_bytes == blob.size


@pytest.mark.parametrize("size", [0, 1, HELD_BACK - 1, HELD_BACK, HELD_BACK + 1])
async def test_blobs_of_every_size_come_whole(cache: BlobCache, root: Path, size: int) -> None:
    """The chunk that is held back loses nothing, however small the blob is; an empty one is a blob too."""
    blob = BytesBlob(os.urandom(size))

    assert await pull(cache, blob, ScriptedSource(blob)) == blob.content

    await settled(cache)
    assert stored(root) == {str(blob.digest)}


async def test_sha512_is_kept_apart(cache: BlobCache, root: Path) -> None:
    """A blob is verified by the algorithm of its digest, and stands in that algorithm's directory."""
    content = b"content"
    digest = Digest.of(content, "sha512")

    with await cache.open(digest, len(content), ScriptedSource(BytesBlob(content))) as reader:
        assert await read(reader) == content

    await settled(cache)
    assert stored(root) == {str(digest)}


async def test_any_number_of_readers_cost_one_request(cache: BlobCache) -> None:
    """32 clients on a cold blob: one upstream request, and everybody gets every byte."""
    blob = GeneratedBlob(2, 8 * MIB)
    source = ScriptedSource(blob)

    pulled = await asyncio.gather(*(pull(cache, blob, source) for _ in range(32)))

    assert all(content == content_of(blob) for content in pulled)
    assert source.asked == [0]
    assert (cache.measures.misses, cache.measures.followers) == (1, 31)


async def test_what_is_warm_opens_at_once(cache: BlobCache, root: Path) -> None:
    """Without waiting for anything: a stored blob of that size, and nothing else."""
    blob = GeneratedBlob(3, MIB)
    assert cache.warm(blob.digest, blob.size) is None
    reader = await cache.open(blob.digest, blob.size, ScriptedSource(blob))
    assert cache.warm(blob.digest, blob.size) is None
    assert await read(reader) == content_of(blob)
    reader.close()
    await settled(cache)

    warm = cache.warm(blob.digest, blob.size)
    assert warm is not None
    with warm:
        assert warm.warm
        assert await read(warm) == content_of(blob)
    assert cache.measures.hits == 1
    assert cache.warm(blob.digest, blob.size + 1) is None
    (root / "blobs" / "sha256" / blob.digest.encoded).unlink()
    assert cache.warm(blob.digest, blob.size) is None


async def test_readers_get_bytes_while_the_upstream_still_sends(cache: BlobCache) -> None:
    """The first bytes reach every reader long before the transfer is over, late readers as well."""
    blob, gate = GeneratedBlob(4, 10 * MIB), asyncio.Event()
    source = ScriptedSource(blob, Turn(pause_after=MIB, gate=gate))
    readers = [await cache.open(blob.digest, blob.size, source) for _ in range(3)]

    for reader in readers:
        assert await read(reader, 0, MIB) == content_of(blob)[:MIB]

    gate.set()
    for reader in readers:
        assert await read(reader, MIB) == content_of(blob)[MIB:]
        reader.close()


async def test_the_end_is_held_back_until_the_digest_is_verified(cache: BlobCache) -> None:
    """With all but one byte there, nobody gets the last chunk."""
    blob, gate = GeneratedBlob(5, 2 * MIB), asyncio.Event()
    source = ScriptedSource(blob, Turn(pause_after=blob.size - 1, gate=gate))

    with await cache.open(blob.digest, blob.size, source) as reader:
        assert len(await read(reader, 0, blob.size - HELD_BACK)) == blob.size - HELD_BACK
        more = asyncio.create_task(reader.available(blob.size - HELD_BACK))
        await asyncio.sleep(0.02)
        assert not more.done()
        gate.set()
        assert await more == blob.size
        assert await read(reader, blob.size - HELD_BACK) == content_of(blob)[-HELD_BACK:]


async def test_a_fetch_outlives_its_clients(cache: BlobCache, root: Path) -> None:
    """All clients leave in mid-transfer: the blob is fetched to its end, and kept."""
    blob, gate = GeneratedBlob(6, 4 * MIB), asyncio.Event()
    source = ScriptedSource(blob, Turn(pause_after=MIB, gate=gate))

    client = asyncio.create_task(pull(cache, blob, source))
    reader = await cache.open(blob.digest, blob.size, source)
    await reader.available(0)
    reader.close()
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    gate.set()
    await settled(cache)

    assert stored(root) == {str(blob.digest)}
    assert await pull(cache, blob, source) == content_of(blob)
    assert source.asked == [0]


async def test_whoever_comes_at_any_moment_gets_the_right_bytes(cache: BlobCache) -> None:
    """From the first byte over the commit to the warm blob there is no gap, and only one fetch."""
    blob = GeneratedBlob(18, MIB)
    source = ScriptedSource(blob)

    warm = False
    while not warm:
        with await cache.open(blob.digest, blob.size, source) as reader:
            warm = reader.warm
            assert os.fstat(reader.fileno()).st_size <= blob.size
            if cache.measures.cache_blobs:
                assert await read(reader) == content_of(blob)
        await asyncio.sleep(0)

    assert source.asked == [0]


async def test_a_range_of_a_cold_blob_waits_for_the_spool(cache: BlobCache) -> None:
    """A part from the middle comes as soon as the fetch has got there, and is exactly that part."""
    blob, gate = GeneratedBlob(7, 4 * MIB), asyncio.Event()
    source = ScriptedSource(blob, Turn(pause_after=3 * MIB, gate=gate))

    with await cache.open(blob.digest, blob.size, source) as reader:
        assert await read(reader, 2 * MIB + 5, 3 * MIB) == content_of(blob)[2 * MIB + 5 : 3 * MIB]
        assert await read(reader, 9, 9) == b""
        gate.set()
        assert await read(reader, blob.size - 1) == content_of(blob)[-1:]
