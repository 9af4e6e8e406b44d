"""BlobCache on file systems that are really full, or really read-only: small ones, mounted for the test."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from dataplane.blobs.cache import BlobCache
from dataplane.blobs.files import FileStore
from dataplane.blobs.patience import Patience
from dataplane.blobs.promised import promised
from dataplane.blobs.space import Limits
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import MIB, instantly, pull, settled, spools, stored

SMALL, LARGE = GeneratedBlob(1, MIB), GeneratedBlob(2, 12 * MIB)


def mount(*arguments: str) -> None:
    """Runs mount; skips the test, and says so, where that is not allowed."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"NOT TESTED, for it takes root to mount a file system: {done.stderr.strip()}")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED, for it takes root to mount a file system")
    root = tmp_path / "disk"
    root.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m,mode=700", "penstock-test", str(root))
    try:
        yield root
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)


@pytest.fixture
async def make(root: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes caches on it, started."""
    async with AsyncExitStack() as stack:

        async def make(**how: Any) -> BlobCache:
            cache = BlobCache(FileStore(root), root / "spool", patience=Patience(sleep=instantly), **how)
            stack.push_async_callback(cache.stop)
            await cache.start()
            return cache

        yield make


def fill_up(path: Path) -> None:
    """Leaves not a byte of the disk free."""
    with path.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


async def test_what_somebody_else_filled(make: Callable[..., Any], root: Path) -> None:
    """Not a byte is free: cold blobs pass through, in any number; it is said, and heals."""
    cache = await make()
    await pull(cache, SMALL, ScriptedSource(SMALL))
    await settled(cache)
    hog = root / "hog"
    fill_up(hog)

    assert await pull(cache, LARGE, ScriptedSource(LARGE)) == content_of(LARGE)
    assert await pull(cache, LARGE, ScriptedSource(LARGE)) == content_of(LARGE)
    assert "no room" in cache.trouble
    assert spools(root) == []
    hog.unlink()
    cache._trouble.over()

    other = GeneratedBlob(3, MIB)
    assert await pull(cache, other, ScriptedSource(other)) == content_of(other)
    await settled(cache)
    assert str(other.digest) in stored(root)


async def test_two_fetches_of_which_one_has_room(make: Callable[..., Any], root: Path) -> None:
    """Each alone would fit: both clients of both processes get every byte, and the disk is never full."""
    blobs = [GeneratedBlob(seed, 6 * MIB) for seed in (5, 6)]
    caches = [await make(), await make()]

    pulls = [pull(cache, blob, ScriptedSource(blob)) for cache in caches for blob in blobs]
    assert await asyncio.gather(*pulls) == [content_of(blob) for _ in caches for blob in blobs]
    for cache in caches:
        await settled(cache)

    assert spools(root) == []
    assert len(stored(root)) == 1
    assert not any("No space left" in cache.trouble for cache in caches)


async def test_a_disk_that_somebody_else_fills_up_under_two_fetches(
    make: Callable[..., Any], root: Path
) -> None:
    """There was room when they began: both clients of both processes get every byte, and it is said why."""
    blobs = [GeneratedBlob(seed, 2 * MIB) for seed in (5, 6)]
    caches, gate = [await make(), await make()], asyncio.Event()
    sources = [ScriptedSource(blob, Turn(pause_after=MIB, gate=gate)) for blob in blobs]

    pulls = [
        asyncio.create_task(pull(cache, blob, source))
        for cache in caches
        for blob, source in zip(blobs, sources, strict=True)
    ]
    while len(spools(root)) < 4 or promised(root / "spool") > 2 * MIB:  # noqa: ASYNC110 - the spools tell only readers
        await asyncio.sleep(0.001)
    await asyncio.to_thread(fill_up, root / "hog")
    gate.set()
    assert await asyncio.gather(*pulls) == [content_of(blob) for _ in caches for blob in blobs]
    for cache in caches:
        await settled(cache)

    assert spools(root) == []
    assert stored(root) == set()
    assert any("No space left" in cache.trouble for cache in caches)


async def test_old_blobs_make_room_for_new_ones(make: Callable[..., Any], root: Path) -> None:
    """With a floor, the disk never fills up: what was used longest ago goes before."""
    cache = await make(limits=Limits(None, 2 * MIB))
    for seed in range(20):
        blob = GeneratedBlob(100 + seed, MIB)
        assert await pull(cache, blob, ScriptedSource(blob)) == content_of(blob)
        await settled(cache)
        status = os.statvfs(root)
        assert status.f_bavail * status.f_frsize >= 2 * MIB

    assert cache.trouble == ""
    assert str(blob.digest) in stored(root)
    assert len(stored(root)) >= 4


async def test_a_disk_that_becomes_read_only(make: Callable[..., Any], root: Path) -> None:
    """Nothing of an idle cache is in the way; warm blobs are served, cold ones pass through, and it heals."""
    cache = await make(scrub_rate=1 << 40)
    await pull(cache, SMALL, ScriptedSource(SMALL))
    await settled(cache)
    await asyncio.sleep(0.1)
    mount("-o", "remount,ro", str(root))
    try:
        never = ScriptedSource(SMALL)
        assert await pull(cache, SMALL, never) == content_of(SMALL)
        assert never.asked == []
        cold = GeneratedBlob(4, 2 * MIB)
        assert await pull(cache, cold, ScriptedSource(cold)) == content_of(cold)
        assert "Read-only" in cache.trouble
        assert cache.measures.unspooled == 1
    finally:
        mount("-o", "remount,rw", str(root))
    cache._trouble.over()

    other = GeneratedBlob(3, MIB)
    assert await pull(cache, other, ScriptedSource(other)) == content_of(other)
    await settled(cache)
    assert str(other.digest) in stored(root)
    assert cache.trouble == ""


async def test_a_start_on_a_disk_that_is_read_only(make: Callable[..., Any], root: Path) -> None:
    """What is stored is served, all else passes through; when the disk takes blobs again, it is used."""
    first = await make()
    await pull(first, SMALL, ScriptedSource(SMALL))
    await settled(first)
    await first.stop()
    mount("-o", "remount,ro", str(root))
    try:
        cache = await make()
        assert "Read-only" in cache.trouble
        never = ScriptedSource(SMALL)
        assert await pull(cache, SMALL, never) == content_of(SMALL)
        assert never.asked == []
        assert await pull(cache, LARGE, ScriptedSource(LARGE)) == content_of(LARGE)
    finally:
        mount("-o", "remount,rw", str(root))
    cache._trouble._until = 0.0
    await cache._upkeep.look(whole=False)

    assert cache.trouble == ""
    other = GeneratedBlob(3, MIB)
    assert await pull(cache, other, ScriptedSource(other)) == content_of(other)
    await settled(cache)
    assert str(other.digest) in stored(root)


async def test_a_first_start_on_a_disk_that_is_read_only(make: Callable[..., Any], root: Path) -> None:
    """There is no folder yet, and none can be made: everything passes through, until one can."""
    mount("-o", "remount,ro", str(root))
    try:
        cache = await make()
        assert "Read-only" in cache.trouble
        assert await pull(cache, LARGE, ScriptedSource(LARGE)) == content_of(LARGE)
    finally:
        mount("-o", "remount,rw", str(root))
    cache._trouble._until = 0.0
    await cache._upkeep.look(whole=False)

    assert await pull(cache, SMALL, ScriptedSource(SMALL)) == content_of(SMALL)
    await settled(cache)
    assert stored(root) == {str(SMALL.digest)}
