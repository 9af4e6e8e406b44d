"""BlobCache under a byte limit: least recently used goes first, and nobody notices but the upstream."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dataplane.blobs.measures import Measures
from dataplane.blobs.space import Limits
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource
from tests.unit.dataplane.blobs.reading import MIB, pull, read, settled, spools, stored

BLOBS = [GeneratedBlob(seed, MIB) for seed in range(5)]


async def test_the_least_recently_used_goes_first(make_cache: Callable[..., Any], root: Path) -> None:
    """With room for three, the fourth takes the place of the one that was not used for longest."""
    cache = await make_cache(limits=Limits(3 * MIB, low=1.0))
    sources = {blob: ScriptedSource(blob) for blob in BLOBS}
    for blob in (BLOBS[0], BLOBS[1], BLOBS[2], BLOBS[0], BLOBS[3]):
        assert await pull(cache, blob, sources[blob]) == content_of(blob)
        await settled(cache)

    assert stored(root) == {str(BLOBS[index].digest) for index in (0, 2, 3)}
    assert cache.measures.evictions == 1
    assert (cache.measures.cache_blobs, cache.measures.cache_bytes) == (3, 3 * MIB)
    # What went is fetched again when somebody wants it.
    assert await pull(cache, BLOBS[1], sources[BLOBS[1]]) == content_of(BLOBS[1])
    assert sources[BLOBS[1]].asked == [0, 0]


async def test_a_blob_that_is_being_read_stays(make_cache: Callable[..., Any], root: Path) -> None:
    """Whichever process reads it: its room would not come back before the reader is done."""
    other = await make_cache()
    cache = await make_cache(limits=Limits(MIB))
    source = ScriptedSource(BLOBS[0])
    await pull(cache, BLOBS[0], source)
    await settled(cache)

    with await other.open(BLOBS[0].digest, MIB, source) as reader:
        start = await read(reader, 0, 1000)
        await pull(cache, BLOBS[1], ScriptedSource(BLOBS[1]))
        await settled(cache)
        assert str(BLOBS[0].digest) in stored(root)
        assert start + await read(reader, 1000) == content_of(BLOBS[0])
    await pull(cache, BLOBS[2], ScriptedSource(BLOBS[2]))
    await settled(cache)

    assert str(BLOBS[0].digest) not in stored(root)


async def test_the_limit_is_one_for_all_processes(make_cache: Callable[..., Any], root: Path) -> None:
    """What another process has stored counts, and its last uses decide as far as the disk knows them."""
    caches = [await make_cache(limits=Limits(3 * MIB, low=0.5)) for _ in range(2)]
    for index, blob in enumerate(BLOBS[:4]):
        await pull(caches[index % 2], blob, ScriptedSource(blob))
        await settled(caches[index % 2])

    # Down to the low mark, so that not each of the next blobs makes a sweep.
    assert stored(root) == {str(BLOBS[3].digest)}
    assert sum(cache.measures.evictions for cache in caches) == 3
    await caches[0].sweep()
    assert [(cache.measures.cache_blobs, cache.measures.cache_bytes) for cache in caches] == [(1, MIB)] * 2


async def test_room_on_the_disk_is_kept_free_for_others(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the floor the least recently used go before a new one comes; without any left, it passes by."""
    capacity, floor, others = 10 * MIB, 4 * MIB, 0

    def statvfs(_: object) -> SimpleNamespace:
        taken = others + sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        return SimpleNamespace(f_blocks=capacity // 4096, f_bavail=(capacity - taken) // 4096, f_frsize=4096)

    monkeypatch.setattr(os, "statvfs", statvfs)
    cache = await make_cache(limits=Limits(None, floor))
    for blob in BLOBS:
        await pull(cache, blob, ScriptedSource(blob))
        await settled(cache)
    assert stored(root) == {str(blob.digest) for blob in BLOBS}

    # The log of somebody else, say.
    others = 3 * MIB
    large = GeneratedBlob(8, 2 * MIB)
    assert await pull(cache, large, ScriptedSource(large)) == content_of(large)
    await settled(cache)
    assert stored(root) == {str(large.digest)}
    assert cache.trouble == ""

    others = 6 * MIB
    assert await pull(cache, BLOBS[0], ScriptedSource(BLOBS[0])) == content_of(BLOBS[0])
    assert stored(root) == set()
    assert "PENSTOCK_CACHE_MIN_FREE_BYTES" in cache.trouble
    assert cache.measures.troubled == 1


async def test_a_blob_beyond_the_limit_passes_through(make_cache: Callable[..., Any], root: Path) -> None:
    """What could not be kept is served and verified all the same, and pushes nothing else out."""
    cache = await make_cache(limits=Limits(2 * MIB))
    large = GeneratedBlob(9, 2 * MIB + 1)
    await pull(cache, BLOBS[0], ScriptedSource(BLOBS[0]))
    await settled(cache)

    assert await pull(cache, large, ScriptedSource(large)) == content_of(large)

    await settled(cache)
    assert stored(root) == {str(BLOBS[0].digest)}
    assert spools(root) == []


async def test_a_lower_limit_is_kept_from_the_start(make_cache: Callable[..., Any], root: Path) -> None:
    """After a restart with less room, the blobs that were used last are still there."""
    cache = await make_cache()
    for blob in BLOBS:
        await pull(cache, blob, ScriptedSource(blob))
    await cache.stop()
    for days, blob in enumerate(BLOBS):
        os.utime(root / "blobs" / "sha256" / blob.digest.encoded, (days * 86400, days * 86400))

    measures = Measures()
    await make_cache(limits=Limits(2 * MIB, low=1.0), measures=measures)

    assert stored(root) == {str(blob.digest) for blob in BLOBS[3:]}
    assert (measures.evictions, measures.cache_blobs, measures.cache_bytes) == (3, 2, 2 * MIB)
