"""Scrubber: what is rotten on disk is found without being pulled, dropped, and fetched again."""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataplane.blobs.cache import BlobCache
from dataplane.blobs.files import FileStore
from dataplane.blobs.measures import Measures
from dataplane.blobs.scrub import Scrubber, Unreadable
from dataplane.blobs.threads import Threads
from tests.fakes.blobs import Blob, GeneratedBlob, content_of
from tests.fakes.clock import Clock, Pauses
from tests.fakes.sources import ScriptedSource
from tests.fakes.waiting import until
from tests.unit.dataplane.blobs.reading import MIB, pull, settled, stored

BLOBS = sorted((GeneratedBlob(seed, 2 * MIB + seed) for seed in range(4)), key=lambda blob: blob.digest)


@pytest.fixture
async def filled(cache: BlobCache) -> BlobCache:
    """A cache that has all BLOBS."""
    for blob in BLOBS:
        await pull(cache, blob, ScriptedSource(blob))
    await settled(cache)
    return cache


@pytest.fixture
def make_scrubber(filled: BlobCache, root: Path) -> Callable[..., Scrubber]:
    """Makes scrubbers of the filled cache's store."""

    def make(sleep: Any, clock: Clock) -> Scrubber:
        return Scrubber(
            FileStore(root), root / "spool", MIB, filled.measures, filled._threads, filled._keeping.drop,
            filled._keeping.unreadable, sleep=sleep, clock=clock,
        )  # fmt: skip

    return make


def flip(root: Path, blob: Blob, offset: int) -> Path:
    """Changes one bit of a stored blob."""
    path = root / "blobs" / "sha256" / blob.digest.encoded
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    return path


@pytest.mark.parametrize("offset", [0, MIB, 2 * MIB - 1])
async def test_a_flipped_bit_is_found_and_dropped(
    filled: BlobCache,
    make_scrubber: Callable[..., Scrubber],
    root: Path,
    offset: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wherever it is: the blob goes, is counted and logged, the others stay, and the next pull is right."""
    flip(root, BLOBS[2], offset)

    await make_scrubber(Pauses().sleep, Clock()).round()

    assert stored(root) == {str(blob.digest) for blob in BLOBS if blob != BLOBS[2]}
    assert filled.measures.rotten == 1
    assert (filled.measures.cache_blobs, filled.measures.cache_bytes) == (
        3,
        sum(b.size for b in BLOBS) - BLOBS[2].size,
    )
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    source = ScriptedSource(BLOBS[2])
    assert await pull(filled, BLOBS[2], source) == content_of(BLOBS[2])
    assert source.asked == [0]


async def test_it_keeps_to_its_rate_and_leaves_recency_alone(
    filled: BlobCache, make_scrubber: Callable[..., Scrubber], root: Path
) -> None:
    """A mebibyte a second is a second's pause for each; being verified is not being used."""
    pauses = Pauses()
    files = list((root / "blobs" / "sha256").iterdir())
    for file in files:
        os.utime(file, (1000, 1000))

    await make_scrubber(pauses.sleep, Clock()).round()

    total = sum(blob.size for blob in BLOBS)
    assert sum(pauses) == pytest.approx(total / MIB)
    assert max(pauses) <= 1
    assert filled.measures.scrubbed_bytes == total
    assert {file.stat().st_mtime for file in files} == {1000}


async def test_a_restart_goes_on_and_a_round_is_made_once_a_day(
    make_scrubber: Callable[..., Scrubber], filled: BlobCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was verified before the restart is not read again; after the round there is a pause."""
    monkeypatch.setattr("dataplane.blobs.scrub._SAVED_EVERY", 1)
    clock, steps = Clock(), 0

    async def killed(seconds: float) -> None:
        nonlocal steps
        steps += 1
        if steps == 7:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await make_scrubber(killed, clock).round()
    before = filled.measures.scrubbed_bytes
    await make_scrubber(Pauses().sleep, clock).round()
    again = filled.measures.scrubbed_bytes - before
    assert again == sum(blob.size for blob in BLOBS[2:])

    for hours, more in ((1, 0), (22, 0), (2, sum(blob.size for blob in BLOBS))):
        clock.now += hours * 3600
        done = filled.measures.scrubbed_bytes
        await make_scrubber(Pauses().sleep, clock).round()
        assert filled.measures.scrubbed_bytes - done == more


async def test_one_process_of_the_node_scrubs(root: Path, make_cache: Callable[..., Any]) -> None:
    """Two caches over one folder read each blob once; what one finds is gone for both."""
    one = await make_cache()
    for blob in BLOBS:
        await pull(one, blob, ScriptedSource(blob))
    await settled(one)
    flip(root, BLOBS[0], 5)

    caches = [await make_cache(scrub_rate=1 << 40) for _ in range(2)]

    async def done() -> bool:
        return sum(cache.measures.scrubbed_bytes for cache in caches) >= sum(blob.size for blob in BLOBS)

    await until(done)
    await asyncio.sleep(0.05)

    assert sum(cache.measures.scrubbed_bytes for cache in caches) == sum(blob.size for blob in BLOBS)
    assert sum(cache.measures.rotten for cache in caches) == 1
    assert str(BLOBS[0].digest) not in stored(root)


async def test_a_blob_that_cannot_be_read_is_not_rotten(
    filled: BlobCache, make_scrubber: Callable[..., Scrubber], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad sector is the disk's fault: it is told of and stays, and all others are verified."""
    bad = (root / "blobs" / "sha256" / BLOBS[1].digest.encoded).stat().st_ino
    preadv = os.preadv

    def read(descriptor: int, *arguments: Any) -> int:
        if os.fstat(descriptor).st_ino == bad:
            raise OSError(5, "Input/output error")
        return preadv(descriptor, *arguments)

    monkeypatch.setattr(os, "preadv", read)
    pauses = Pauses()
    await make_scrubber(pauses.sleep, Clock()).round()
    with pytest.raises(Unreadable):
        await filled.verify(BLOBS[1].digest)

    assert stored(root) == {str(blob.digest) for blob in BLOBS}
    assert filled.measures.scrubbed_bytes == sum(blob.size for blob in BLOBS) - BLOBS[1].size
    assert (filled.measures.unreadable, filled.measures.rotten) == (2, 0)
    assert str(BLOBS[1].digest) in filled.trouble


async def test_trouble_with_the_disk_does_not_end_it(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that cannot be listed now is listed later."""
    calls = 0

    class Flaky(FileStore):
        async def entries(self) -> Any:
            nonlocal calls
            calls += 1
            raise OSError(5, "Input/output error")

    store = Flaky(root)
    await store.prepare()
    (root / "spool").mkdir()

    async def sleep(seconds: float) -> None:
        if calls == 2:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    with Threads() as threads, pytest.raises(asyncio.CancelledError):
        await Scrubber(store, root / "spool", 1, Measures(), threads, None, sleep=sleep).run()  # type: ignore[arg-type]
    assert calls == 2
