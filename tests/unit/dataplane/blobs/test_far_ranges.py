"""BlobReader: a part that is far ahead of what has been fetched comes by a request of its own, at once."""

import asyncio
import gc
from collections.abc import Callable
from io import FileIO
from typing import Any

import pytest

from clients.oci.errors import UpstreamDenied
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed
from dataplane.blobs.reader import FAR
from dataplane.blobs.way import Way
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import MIB, pull, read, settled, stored

BLOB = GeneratedBlob(1, FAR + 8 * MIB)
START, STOP = FAR + 6 * MIB, FAR + 7 * MIB


async def test_a_far_part_does_not_wait_for_the_fetch(cache: BlobCache, root: object) -> None:
    """Just that part is asked for; the fetch goes on beside it, and its blob is kept."""
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    with await cache.open(BLOB.digest, BLOB.size, source) as reader:
        await reader.available(0)
        assert await reader.available(START, STOP) == START
        assert await read(reader, START, STOP) == content_of(BLOB)[START:STOP]
        # And the same reader goes on from the spool.
        assert await read(reader, 0, MIB) == content_of(BLOB)[:MIB]

    assert source.asked == [0, START]
    assert source.stops == [None, STOP]
    assert cache.measures.detours == 1
    gate.set()
    await settled(cache)
    assert await pull(cache, BLOB, source) == content_of(BLOB)
    assert cache.measures.upstream_bytes == BLOB.size + STOP - START


async def test_a_near_part_waits_for_the_fetch(cache: BlobCache) -> None:
    """A few mebibytes on, a request of its own would only cost the upstream."""
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    with await cache.open(BLOB.digest, BLOB.size, source) as reader:
        await reader.available(0)
        near = asyncio.create_task(read(reader, FAR, FAR + 10))
        await asyncio.sleep(0.01)
        assert not near.done()
        gate.set()
        assert await near == content_of(BLOB)[FAR : FAR + 10]

    assert source.asked == [0]


async def test_a_far_part_is_resumed_within_its_bounds(cache: BlobCache) -> None:
    """Broken in the middle, the rest of the part is asked for, and no more; an answer from 0 is skipped."""
    gate = asyncio.Event()
    source = ScriptedSource(
        BLOB, Turn(pause_after=0, gate=gate), Turn(cut_after=1000), Turn(offset=0, chunk=MIB)
    )
    with await cache.open(BLOB.digest, BLOB.size, source) as reader:
        await asyncio.sleep(0.01)
        assert await read(reader, START, STOP) == content_of(BLOB)[START:STOP]

    assert source.asked[1:] == [START, START + 1000]
    assert source.stops[1:] == [STOP, STOP]


async def test_an_upstream_without_ranges_is_not_read_again_for_each_far_part(cache: BlobCache) -> None:
    """It would send all that comes before, each time: such parts wait for the fetch, which does so once."""
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate), *(Turn(offset=0) for _ in range(3)))
    content = content_of(BLOB)

    async def part(start: int) -> bytes:
        with await cache.open(BLOB.digest, BLOB.size, source) as reader:
            return await read(reader, start, start + 10)

    with await cache.open(BLOB.digest, BLOB.size, source) as reader:
        await reader.available(0)
    parts = [asyncio.create_task(part(START))]
    await asyncio.sleep(0.05)
    parts += [asyncio.create_task(part(start)) for start in (START + 1, BLOB.size - 10)]
    await asyncio.sleep(0.05)
    gate.set()
    assert await asyncio.gather(*parts) == [
        content[start : start + 10] for start in (START, START + 1, BLOB.size - 10)
    ]
    await settled(cache)
    assert source.asked == [0, START]
    assert cache.measures.upstream_bytes == BLOB.size


async def test_several_far_parts_by_one_reader(cache: BlobCache) -> None:
    """In any order, and with near ones between them: each comes by itself, and they leave nothing behind."""
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    content = content_of(BLOB)
    with await cache.open(BLOB.digest, BLOB.size, source) as reader:
        await reader.available(0)
        await reader.available(START, STOP)
        for start, stop in ((START, STOP), (10, 20), (BLOB.size - 100, BLOB.size), (START - 10, START)):
            assert await read(reader, start, stop) == content[start:stop]
    gate.set()
    await settled(cache)


async def test_a_far_part_that_is_refused_is_an_error_before_a_status(cache: BlobCache) -> None:
    """What the upstream says to the ranged request reaches the client; the fetch is untouched."""
    gate = asyncio.Event()
    refused = UpstreamDenied("registry.example", "registry.example says no.")
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate), Turn(refused=refused))
    with await cache.open(BLOB.digest, BLOB.size, source) as reader:
        await reader.available(0)
        with pytest.raises(UpstreamDenied):
            await reader.available(START, STOP)
    gate.set()
    await settled(cache)

    assert await pull(cache, BLOB, source) == content_of(BLOB)


async def test_a_far_part_that_nobody_reads_to_its_end_ends(cache: BlobCache, root: object) -> None:
    """The client leaves: the request of its own is broken off, whatever is in its queue."""
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    for read_first in (True, False):
        reader = await cache.open(BLOB.digest, BLOB.size, source)
        await reader.available(0)
        await reader.available(START)
        if read_first:
            await anext(reader.read(START))
        reader.close()
        await asyncio.sleep(0.01)
    gc.collect()

    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("detour")]
    gate.set()
    await settled(cache)
    assert stored(root)  # type: ignore[arg-type]


@pytest.mark.parametrize("turns", [0, 1, 100])
async def test_one_that_is_broken_off_at_any_moment_keeps_nobody_waiting(
    make_cache: Callable[..., Any], turns: int
) -> None:
    """Before it has begun, while it begins, and when all of it waits for its reader: no file stays open."""
    cache = await make_cache()
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    with await cache.open(BLOB.digest, BLOB.size, source) as reader:
        await reader.available(0)
        way = Way(BLOB.digest, BLOB.size, source)
        with FileIO(reader.fileno(), closefd=False) as before:
            detour = cache._detours.begin(way, 0, BLOB.size, before)
        for _ in range(turns):
            await asyncio.sleep(0)
        copy = detour._before
        detour.close()
        await asyncio.wait([detour.task])
        async with asyncio.timeout(5):
            with pytest.raises(BlobFailed):
                [piece async for piece in detour.pieces()]
        assert copy is not None
        assert copy.closed
    gate.set()
    await settled(cache)
