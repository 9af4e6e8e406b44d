"""BlobCache under a byte limit: least recently used goes first, and nobody notices but the upstream."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataplane.blobs.measures import Measures
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource
from tests.unit.dataplane.blobs.reading import MIB, pull, read, settled, spools, stored

BLOBS = [GeneratedBlob(seed, MIB) for seed in range(5)]


async def test_the_least_recently_used_goes_first(make_cache: Callable[..., Any], root: Path) -> None:
    """With room for three, the fourth takes the place of the one that was not used for longest."""
    cache = await make_cache(max_bytes=3 * MIB)
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


async def test_a_blob_that_is_being_read_is_read_to_its_end(make_cache: Callable[..., Any]) -> None:
    """Eviction takes the name, never the bytes under a reader."""
    cache = await make_cache(max_bytes=MIB)
    source = ScriptedSource(BLOBS[0])
    await pull(cache, BLOBS[0], source)
    await settled(cache)

    with await cache.open(BLOBS[0].digest, MIB, source) as reader:
        start = await read(reader, 0, 1000)
        await pull(cache, BLOBS[1], ScriptedSource(BLOBS[1]))
        await settled(cache)
        assert cache.measures.evictions == 1
        assert start + await read(reader, 1000) == content_of(BLOBS[0])


async def test_a_blob_beyond_the_limit_passes_through(make_cache: Callable[..., Any], root: Path) -> None:
    """What could not be kept is served and verified all the same, and pushes nothing else out."""
    cache = await make_cache(max_bytes=2 * MIB)
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
    await make_cache(max_bytes=2 * MIB, measures=measures)

    assert stored(root) == {str(blob.digest) for blob in BLOBS[3:]}
    assert (measures.evictions, measures.cache_blobs, measures.cache_bytes) == (3, 2, 2 * MIB)
