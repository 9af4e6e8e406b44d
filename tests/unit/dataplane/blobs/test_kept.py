"""BlobCache.kept: stored, being fetched by whatever process, or absent."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataplane.blobs.kept import Kept
from tests.fakes.blobs import GeneratedBlob
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import MIB, settled, spools

BLOB = GeneratedBlob(1, 4 * MIB)
KEY = (BLOB.digest, BLOB.size)


async def test_a_blob_is_absent_then_fetched_then_stored(make_cache: Callable[..., Any]) -> None:
    """For the process that fetches it and for the others alike; under another size it is none of these."""
    one, two = await make_cache(), await make_cache()
    both = [one, two]
    assert [cache.kept(*KEY) for cache in both] == [Kept.ABSENT, Kept.ABSENT]
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    with await one.open(*KEY, source) as reader:
        await reader.available(0)
        assert [cache.kept(*KEY) for cache in both] == [Kept.FETCHING, Kept.FETCHING]
        assert two.holds(*KEY)
        gate.set()
        await reader.complete()
    await settled(one)
    assert [cache.kept(*KEY) for cache in both] == [Kept.STORED, Kept.STORED]
    assert one.kept(BLOB.digest, BLOB.size + 1) is Kept.ABSENT
    assert source.asked == [0]


async def test_what_a_stopped_process_left_is_absent(make_cache: Callable[..., Any], root: Path) -> None:
    """Half of a blob is gone on with by whoever is asked for it; until then nobody fetches it."""
    one, two = await make_cache(), await make_cache()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=asyncio.Event()))
    with await one.open(*KEY, source) as reader:
        await reader.available(0)
    await one.stop()
    assert spools(root)
    assert two.kept(*KEY) is Kept.ABSENT
    assert not two.holds(*KEY)
