"""BlobCache under clients that leave whenever they like."""

import asyncio
import os
import random
from pathlib import Path

from dataplane.blobs.cache import BlobCache
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import MIB, pull, settled, spools, stored


async def test_two_hundred_clients_that_leave_cost_nothing(cache: BlobCache, root: Path) -> None:
    """Cancelled at any moment: every blob is fetched once and kept, and no file stays open."""
    chance = random.Random(1)
    blobs = [GeneratedBlob(seed, 2 * MIB) for seed in range(4)]
    sources = {blob: ScriptedSource(blob, Turn(cut_after=MIB + blob.seed)) for blob in blobs}
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, of what is no directory of files

    async def client() -> None:
        blob = chance.choice(blobs)
        await pull(cache, blob, sources[blob])

    clients = []
    for _ in range(200):
        clients.append(asyncio.create_task(client()))
        await asyncio.sleep(0)
        if chance.random() < 0.8:
            chance.choice(clients).cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    await settled(cache)

    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
    assert spools(root) == []
    assert stored(root) == {str(blob.digest) for blob in blobs}
    for blob in blobs:
        assert sources[blob].asked == [0, MIB + blob.seed]
        assert await pull(cache, blob, sources[blob]) == content_of(blob)
