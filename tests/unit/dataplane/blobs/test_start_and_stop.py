"""BlobCache over restarts, and over what happens to its directory meanwhile."""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.process.exits import ConfigurationError
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.files import FileStore
from tests.fakes.blobs import BytesBlob, GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import (
    MIB,
    pull,
    read_until_failure,
    settled,
    spools,
    stored,
)


async def test_a_stored_file_of_another_size_is_fetched_again(cache: BlobCache, root: Path) -> None:
    """A file that lost its end is never served, and is replaced by a good one."""
    blob = GeneratedBlob(13, MIB)
    source = ScriptedSource(blob)
    await pull(cache, blob, source)
    await settled(cache)
    os.truncate(root / "blobs" / "sha256" / blob.digest.encoded, MIB - 1)

    assert await pull(cache, blob, source) == content_of(blob)
    await settled(cache)
    assert await pull(cache, blob, source) == content_of(blob)

    assert source.asked == [0, 0]
    await cache.sweep()
    assert cache.measures.cache_bytes == MIB


async def test_a_blob_that_vanished_from_disk_is_fetched_again(cache: BlobCache, root: Path) -> None:
    """Somebody cleans the directory by hand: the node goes on, and its figures follow."""
    blob = GeneratedBlob(15, MIB)
    source = ScriptedSource(blob)
    await pull(cache, blob, source)
    await settled(cache)
    (root / "blobs" / "sha256" / blob.digest.encoded).unlink()

    assert await pull(cache, blob, source) == content_of(blob)

    await settled(cache)
    await cache.sweep()
    assert (cache.measures.cache_blobs, cache.measures.cache_bytes) == (1, MIB)


async def test_stopping_breaks_fetches_off(
    cache: BlobCache, root: Path, make_cache: Callable[..., Any]
) -> None:
    """Whoever waits is told that the node stops; nothing opens any more; the next start goes on with it."""
    blob, gate = GeneratedBlob(16, 4 * MIB), asyncio.Event()
    source = ScriptedSource(blob, Turn(pause_after=MIB, gate=gate))
    with await cache.open(blob.digest, blob.size, source) as reader:
        waiting = asyncio.create_task(read_until_failure(reader))
        await reader.available(MIB - 1)
        other = BytesBlob(b"just begun")
        begun = await cache.open(other.digest, other.size, ScriptedSource(other))
        await cache.stop()
        begun.close()
        got, failure = await waiting

    assert content_of(blob).startswith(got)
    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.STOPPED
    assert stored(root) == set()
    with pytest.raises(BlobFailed):
        await cache.open(blob.digest, blob.size, source)

    again = await make_cache()
    assert await pull(again, blob, source) == content_of(blob)
    await settled(again)
    assert source.asked == [0, MIB]
    assert [spool.name.partition(".")[0] for spool in spools(root)] in ([], [other.digest.encoded] * 2)


async def test_what_nobody_comes_back_for_is_removed(make_cache: Callable[..., Any], root: Path) -> None:
    """A spool of a process that was killed is gone after some minutes; blobs stay, and are counted."""
    blob = GeneratedBlob(17, MIB)
    source = ScriptedSource(blob)
    first = await make_cache()
    await pull(first, blob, source)
    await first.stop()
    half = root / "spool" / f"{'a' * 64}.9.spool"
    half.write_bytes(b"half")
    half.with_suffix(".claim").write_bytes(b"")
    young = root / "spool" / f"{'b' * 64}.9.spool"
    young.write_bytes(b"half")
    for file in (half, half.with_suffix(".claim")):
        os.utime(file, (time.time() - 700, time.time() - 700))

    second = await make_cache()

    assert spools(root) == [young]
    assert (second.measures.cache_blobs, second.measures.cache_bytes) == (1, MIB)
    assert await pull(second, blob, source) == content_of(blob)
    assert source.asked == [0]


async def test_spools_that_cannot_be_made_end_the_start(root: Path) -> None:
    """A spool folder that cannot be a folder is found at the start, in one sentence that names it."""
    folder = root / "oci-layout" / "spool"
    cache = BlobCache(FileStore(root), folder)

    with pytest.raises(ConfigurationError, match=str(folder)):
        await cache.start()
    await cache.stop()
