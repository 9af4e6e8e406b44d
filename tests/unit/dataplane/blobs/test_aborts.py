"""BlobCache under clients that leave whenever they like."""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataplane.blobs.lately import MOMENT
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import MIB, pull, read, settled, spools, stored

FIRST = [GeneratedBlob(8, MIB), GeneratedBlob(9, MIB)]


async def test_a_thousand_clients_that_leave_cost_nothing(make_cache: Callable[..., Any], root: Path) -> None:
    """In two processes, cancelled at any moment, in any part of a blob: each is fetched once and kept."""
    chance = random.Random(1)
    caches = [await make_cache(), await make_cache()]
    blobs = [GeneratedBlob(seed, 2 * MIB) for seed in range(4)]
    sources = {blob: ScriptedSource(blob, Turn(cut_after=MIB + blob.seed)) for blob in blobs}
    # What each cache keeps open for itself, once it has followed another.
    for (one, two), blob in ((caches, FIRST[0]), (caches[::-1], FIRST[1])):
        with await one.open(blob.digest, blob.size, ScriptedSource(blob)):
            await pull(two, blob, ScriptedSource(blob))
        await settled(one)
        await settled(two)
        assert two.measures.followers == 1
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, of what is no directory of files

    async def client() -> None:
        blob = chance.choice(blobs)
        start = chance.choice((0, 0, MIB, 2 * MIB - 10))
        with await chance.choice(caches).open(blob.digest, blob.size, sources[blob]) as reader:
            assert await read(reader, start) == content_of(blob)[start:]

    clients = []
    for _ in range(1200):
        clients.append(asyncio.create_task(client()))
        await asyncio.sleep(0)
        if chance.random() < 0.8:
            chance.choice(clients).cancel()
    outcomes = await asyncio.gather(*clients, return_exceptions=True)
    for cache in caches:
        await settled(cache)
    # For whoever comes next, files stay open for a moment.
    await asyncio.sleep(2 * MOMENT)

    failures = [outcome for outcome in outcomes if outcome is not None]
    assert all(isinstance(failure, asyncio.CancelledError) for failure in failures)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
    assert spools(root) == []
    assert stored(root) == {str(blob.digest) for blob in (*FIRST, *blobs)}
    for blob in blobs:
        assert sources[blob].asked == [0, MIB + blob.seed]
        assert await pull(caches[0], blob, sources[blob]) == content_of(blob)
