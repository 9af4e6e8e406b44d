"""One blob that is asked for all the time in one process, which others want to see gone."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dataplane.blobs.cache import BlobCache
from dataplane.blobs.space import Limits
from dataplane.settings import Settings
from dataplane.tool.folder import CacheFolder
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource
from tests.unit.dataplane.blobs.reading import MIB, pull, settled, stored

HOT = GeneratedBlob(1, MIB)
OTHER = GeneratedBlob(2, MIB)


@pytest.fixture
async def cache(make_cache: Callable[..., Any]) -> BlobCache:
    """What has the blob, and serves it."""
    made: BlobCache = await make_cache()
    await pull(made, HOT, ScriptedSource(HOT))
    await settled(made)
    return made


@asynccontextmanager
async def asked_for(cache: BlobCache) -> AsyncIterator[None]:
    """Opens the blob a few hundred times a second, each time for some microseconds, while it is warm."""

    async def ask() -> None:
        while (reader := cache.warm(HOT.digest, MIB)) is not None:
            reader.close()
            await asyncio.sleep(0.003)

    asking = asyncio.create_task(ask())
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_it_can_be_evicted(cache: BlobCache, root: Path, tmp_path: Path) -> None:
    """By `penstock cache evict`: that its file is open for whoever comes next does not count as reading."""
    folder = CacheFolder(Settings(data_dir=tmp_path, blob_store=f"file://{root}"))
    async with asked_for(cache):
        await asyncio.sleep(0.05)
        rows = [row async for row in folder.evict([HOT.digest], None)]
    assert [row["evicted"] for row in rows] == [True]
    assert stored(root) == set()
    assert cache.warm(HOT.digest, MIB) is None


async def test_it_is_not_served_once_it_was_dropped(
    cache: BlobCache, make_cache: Callable[..., Any], root: Path
) -> None:
    """Another process has found it rotten: the next request has it fetched, and gets what is right."""
    other = await make_cache()
    path = root / "blobs" / HOT.digest.algorithm / HOT.digest.encoded
    status = path.stat()
    async with asked_for(cache):
        # What a disk loses leaves no trace in the file's times.
        with path.open("r+b") as file:
            file.write(b"rot")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert (await pull(cache, HOT, ScriptedSource(HOT))).startswith(b"rot")
        assert not await other.verify(HOT.digest)
        assert cache.warm(HOT.digest, MIB) is None
        source = ScriptedSource(HOT)
        assert await pull(cache, HOT, source) == content_of(HOT)
        assert source.asked == [0]


async def test_it_does_not_keep_a_full_disk_from_caching(
    cache: BlobCache, make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its room is had like that of any other, and nothing is wrong with the disk."""
    floor = 4 * MIB

    def statvfs(_: object) -> SimpleNamespace:
        taken = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        free = (floor + MIB + MIB // 2 - taken) // 4096
        return SimpleNamespace(f_blocks=16 * MIB // 4096, f_bavail=free, f_frsize=4096)

    monkeypatch.setattr(os, "statvfs", statvfs)
    other = await make_cache(limits=Limits(None, floor))
    async with asked_for(cache):
        assert await pull(other, OTHER, ScriptedSource(OTHER)) == content_of(OTHER)
        await settled(other)
    assert stored(root) == {str(OTHER.digest)}
    assert other.trouble == ""
