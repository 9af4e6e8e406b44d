"""BlobCache under a byte limit: least recently used goes first, and nobody notices but the upstream."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clients.process.exits import ConfigurationError
from dataplane.blobs.errors import BlobFailed
from dataplane.blobs.files import FileStore
from dataplane.blobs.held import alone_with
from dataplane.blobs.lately import MOMENT
from dataplane.blobs.measures import Measures
from dataplane.blobs.promised import promised
from dataplane.blobs.space import Limits
from dataplane.blobs.store import Entry
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import MIB, failed_pull, pull, read, settled, spools, stored

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


async def test_uses_before_the_clock_was_set_back_are_past(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in a time that is to come: what is used from then on is not the first to go for hours."""
    ahead = time.time() + 7200
    other, cache = await make_cache(), await make_cache(limits=Limits(3 * MIB, low=1.0))
    with monkeypatch.context() as before:
        for part in (other._space._uses, other._store, cache._space._uses, cache._store):
            before.setattr(part, "_clock", lambda: ahead)
        for blob, by in ((BLOBS[0], other), (BLOBS[1], cache), (BLOBS[2], other)):
            await pull(by, blob, ScriptedSource(blob))
            await settled(by)
            ahead += 1
    await asyncio.sleep(2 * MOMENT)
    for blob in BLOBS[3:]:
        await pull(cache, blob, ScriptedSource(blob))
        await settled(cache)
    assert stored(root) == {str(blob.digest) for blob in BLOBS[2:]}


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
    # For whoever comes next, its file stays open for a moment.
    await asyncio.sleep(2 * MOMENT)
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


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_what_was_just_read_makes_room(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch, *, elsewhere: bool
) -> None:
    """Its file stays open for a moment, also in another process; what is wanted now has room all the same."""

    def statvfs(_: object) -> SimpleNamespace:
        taken = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        return SimpleNamespace(f_blocks=1024, f_bavail=(4 * MIB - taken) // 4096, f_frsize=4096)

    monkeypatch.setattr(os, "statvfs", statvfs)
    cache = await make_cache(limits=Limits(None, MIB))
    await pull(cache, BLOBS[0], ScriptedSource(BLOBS[0]))
    await settled(cache)
    reading = await make_cache() if elsewhere else cache
    assert await pull(reading, BLOBS[0], ScriptedSource(BLOBS[0])) == content_of(BLOBS[0])

    large = GeneratedBlob(8, 2 * MIB + MIB // 2)
    assert await pull(cache, large, ScriptedSource(large)) == content_of(large)
    await settled(cache)

    assert (cache.trouble, cache.measures.unspooled) == ("", 0)
    assert stored(root) == {str(large.digest)}


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


async def test_a_size_that_no_disk_has_pushes_nothing_out(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest may say any size: neither the cache nor the node's state pay for one that is made up."""
    on_disk(monkeypatch, root, 10 * MIB)
    cache = await make_cache(limits=Limits(None, 4 * MIB))
    await pull(cache, BLOBS[0], ScriptedSource(BLOBS[0]))
    await settled(cache)

    got, failure = await failed_pull(cache, BLOBS[1].digest, 1 << 50, ScriptedSource(BLOBS[1]))

    assert got == b""
    assert isinstance(failure, BlobFailed)
    assert stored(root) == {str(BLOBS[0].digest)}
    assert (cache.trouble, cache.measures.evictions) == ("", 0)
    # Nor does a blob for which the disk has no room, as others have taken it, take what cannot help it.
    taken = root / "others"
    taken.write_bytes(bytes(4 * MIB))
    large = GeneratedBlob(8, 3 * MIB)
    assert await pull(cache, large, ScriptedSource(large)) == content_of(large)
    assert stored(root) == {str(BLOBS[0].digest)}
    assert "PENSTOCK_CACHE_MIN_FREE_BYTES" in cache.trouble


async def test_room_that_somebody_else_makes_is_waited_for(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes that need room at once both get it: the second is not told that the disk is full."""
    on_disk(monkeypatch, root, 6 * MIB)
    cache = await make_cache(limits=Limits(None, 4 * MIB))
    for blob in BLOBS[:2]:
        await pull(cache, blob, ScriptedSource(blob))
        await settled(cache)

    with alone_with(root / "spool" / "sweep.lock") as alone:
        assert alone
        pulling = asyncio.create_task(pull(cache, BLOBS[2], ScriptedSource(BLOBS[2])))
        await asyncio.sleep(0.05)
    assert await pulling == content_of(BLOBS[2])
    await settled(cache)

    assert cache.trouble == ""
    assert str(BLOBS[2].digest) in stored(root)


async def test_fills_that_start_at_once_share_the_room(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one is to write is not free for the next, in another process either; the rest passes by.

    The disk never runs full, nobody notices, nothing is said to be wrong, and what ends gives its room back.
    """
    least = on_disk(monkeypatch, root, 7 * MIB + MIB // 2)
    caches = [await make_cache(limits=Limits(None, 4 * MIB)) for _ in range(2)]
    gate = asyncio.Event()
    sources = [ScriptedSource(blob, Turn(pause_after=0, gate=gate)) for blob in BLOBS]
    opened = await asyncio.gather(
        *(caches[at % 2].open(blob.digest, blob.size, source)
          for at, (blob, source) in enumerate(zip(BLOBS, sources, strict=True)))
    )  # fmt: skip
    assert sum(cache.measures.misses for cache in caches) == 3
    assert sum(cache.measures.unspooled for cache in caches) == 2
    # Who follows takes no room.
    follower = await caches[1].open(BLOBS[0].digest, MIB, sources[0])
    gate.set()
    for reader, blob in zip([*opened, follower], [*BLOBS, BLOBS[0]], strict=True):
        with reader:
            assert await read(reader) == content_of(blob)
    for cache in caches:
        await settled(cache)

    assert len(stored(root)) == 3
    assert min(least) >= 4 * MIB
    assert [cache.trouble for cache in caches] == ["", ""]
    assert spools(root) == []
    # Nothing is promised any more: one more takes the place of one that is there.
    assert await pull(caches[0], GeneratedBlob(7, MIB), ScriptedSource(GeneratedBlob(7, MIB)))
    await settled(caches[0])
    assert str(GeneratedBlob(7, MIB).digest) in stored(root)


async def test_clients_of_a_blob_without_room_hear_so_together(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stored is not counted again for each of them, one after the other."""
    on_disk(monkeypatch, root, 7 * MIB + MIB // 2)
    cache = await make_cache(limits=Limits(None, 4 * MIB))
    gate = asyncio.Event()
    large, other = GeneratedBlob(8, 2 * MIB), GeneratedBlob(9, 2 * MIB)
    fetched = await cache.open(
        large.digest, large.size, ScriptedSource(large, Turn(pause_after=MIB, gate=gate))
    )
    entries, counts = FileStore.entries, []

    async def counted(store: FileStore) -> list[Entry]:
        counts.append(1)
        return await entries(store)

    monkeypatch.setattr(FileStore, "entries", counted)
    bodies = await asyncio.gather(*(pull(cache, other, ScriptedSource(other)) for _ in range(20)))
    assert all(body == content_of(other) for body in bodies)
    assert len(counts) <= 2
    assert not cache.trouble
    fetched.close()
    gate.set()
    await settled(cache)
    # Not for longer than it is so.
    assert await pull(cache, other, ScriptedSource(other)) == content_of(other)
    await settled(cache)
    assert str(other.digest) in stored(root)


async def test_a_process_that_dies_gives_its_room_back(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its claim is still there, and nobody holds it; whoever goes on with its spool needs only the rest."""
    on_disk(monkeypatch, root, 6 * MIB + MIB // 2)
    cache = await make_cache(limits=Limits(None, 4 * MIB))
    gate = asyncio.Event()
    large = GeneratedBlob(8, 2 * MIB)
    source = ScriptedSource(large, Turn(pause_after=MIB, gate=gate))
    reader = await cache.open(large.digest, large.size, source)
    while reader._growth.reached < MIB:  # noqa: ASYNC110 - the spool tells only readers
        await asyncio.sleep(0.001)
    assert promised(root / "spool") == MIB
    reader.close()
    await cache.stop()
    assert promised(root / "spool") == 0

    again = await make_cache(limits=Limits(None, 4 * MIB))
    source = ScriptedSource(large)
    assert await pull(again, large, source) == content_of(large)
    await settled(again)
    assert source.asked == [MIB]
    assert stored(root) == {str(large.digest)}


async def test_what_was_abandoned_before_the_clock_was_set_back_goes(
    make_cache: Callable[..., Any], root: Path
) -> None:
    """Its time is to come, for as long as the clock was wrong: that is no reason to keep it that long."""
    cache = await make_cache()
    source = ScriptedSource(BLOBS[0], Turn(pause_after=1000, gate=asyncio.Event()))
    with await cache.open(BLOBS[0].digest, MIB, source):
        while not cache.measures.upstream_bytes:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.01)
    await cache.stop()
    later = await make_cache()
    # A clock that is corrected by a little makes nothing old.
    for ahead, left in ((60, 2), (86_400, 0)):
        for file in spools(root):
            os.utime(file, (time.time() + ahead,) * 2)
        await later.sweep()
        assert len(spools(root)) == left


async def test_looking_after_the_room_survives_what_fails_once(
    make_cache: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is away altogether, and comes back, is looked at and used again."""
    monkeypatch.setattr("dataplane.blobs.upkeep._LOOK", 0.01)
    monkeypatch.setattr("dataplane.blobs.trouble._PAUSE", 0.0)
    cache = await make_cache()
    prepare, looks = FileStore.prepare, []

    async def away(store: FileStore) -> None:
        looks.append(store)
        if len(looks) == 1:
            raise ConfigurationError("The blob store cannot be used: transport endpoint is not connected.")
        await prepare(store)

    monkeypatch.setattr(FileStore, "prepare", away)
    cache.hear_trouble("The disk is away.")
    async with asyncio.timeout(5):
        while cache.trouble:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    assert len(looks) == 2


def on_disk(monkeypatch: pytest.MonkeyPatch, root: Path, capacity: int) -> list[int]:
    """Lets the disk have so many bytes, and nothing on it but root; gives what was seen free."""
    free = []

    def statvfs(_: object) -> SimpleNamespace:
        taken = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
        free.append(capacity - taken)
        return SimpleNamespace(f_blocks=capacity // 4096, f_bavail=(capacity - taken) // 4096, f_frsize=4096)

    monkeypatch.setattr(os, "statvfs", statvfs)
    return free
