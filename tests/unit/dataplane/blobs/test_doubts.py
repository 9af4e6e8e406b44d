"""Stored blobs whose files somebody else has written: what they are is found out before it is served."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataplane.blobs import files
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.files import FileStore
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource
from tests.unit.dataplane.blobs.reading import MIB, pull, settled

BLOB = GeneratedBlob(1, 2 * MIB + 5)


@pytest.fixture
async def filled(cache: BlobCache) -> BlobCache:
    """A cache that has the blob."""
    await pull(cache, BLOB, ScriptedSource(BLOB))
    await settled(cache)
    return cache


@pytest.fixture
def file(root: Path) -> Path:
    """Where it is."""
    return root / "blobs" / "sha256" / BLOB.digest.encoded


def write(file: Path, at: int, bits: int) -> None:
    """Changes so many bits of a byte; none is a write all the same."""
    with file.open("r+b") as opened:
        opened.seek(at)
        byte = opened.read(1)[0]
        opened.seek(at)
        opened.write(bytes([byte ^ bits]))


@pytest.mark.parametrize("at", [0, MIB, BLOB.size - 1])
async def test_not_a_byte_is_served_of_what_was_changed(filled: BlobCache, file: Path, at: int) -> None:
    """The blob is fetched again; nobody has seen the wrong one, not even who asks on the fast path."""
    write(file, at, 1)
    assert filled.warm(BLOB.digest, BLOB.size) is None
    source = ScriptedSource(BLOB)
    bodies = await asyncio.gather(*(pull(filled, BLOB, source) for _ in range(5)))
    assert all(body == content_of(BLOB) for body in bodies)
    assert source.asked == [0]
    assert filled.measures.rotten == 1
    await settled(filled)
    warm = filled.warm(BLOB.digest, BLOB.size)
    assert warm is not None
    warm.close()


async def test_what_is_right_all_the_same_needs_no_upstream(
    filled: BlobCache, file: Path, make_cache: Callable[..., Any]
) -> None:
    """As after a restored backup: verified once for all who wait, and remembered beyond the process."""
    write(file, 7, 0)
    source = ScriptedSource(BLOB)
    bodies = await asyncio.gather(*(pull(filled, BLOB, source) for _ in range(5)))
    assert all(body == content_of(BLOB) for body in bodies)
    assert filled.measures.scrubbed_bytes == BLOB.size
    again = await make_cache()
    assert await pull(again, BLOB, source) == content_of(BLOB)
    assert (source.asked, again.measures.scrubbed_bytes) == ([], 0)


async def test_what_was_verified_before_it_was_pulled_is_served_at_once(
    filled: BlobCache, file: Path
) -> None:
    """By the scrubber, or on request: no client waits until it is read again."""
    write(file, 7, 0)
    assert await filled.verify(BLOB.digest)
    scrubbed = filled.measures.scrubbed_bytes
    warm = filled.warm(BLOB.digest, BLOB.size)
    assert warm is not None
    warm.close()
    assert filled.measures.scrubbed_bytes == scrubbed == BLOB.size


async def test_on_a_disk_that_takes_no_word_of_it_the_process_remembers(
    filled: BlobCache, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only disk serves what it has, and is not read again for each pull."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    write(file, 7, 0)
    monkeypatch.setattr(FileStore, "vouch", refuse)
    source = ScriptedSource(BLOB)
    for _ in range(3):
        assert await pull(filled, BLOB, source) == content_of(BLOB)
    assert (source.asked, filled.measures.scrubbed_bytes) == ([], BLOB.size)


async def test_what_is_wrong_and_cannot_be_removed_is_passed_over(
    filled: BlobCache, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right bytes come from the upstream, however often it is asked for."""

    async def refuse(*_: object) -> bool:
        raise OSError(errno.EROFS, "Read-only file system")

    write(file, 7, 1)
    monkeypatch.setattr(FileStore, "remove", refuse)
    assert await pull(filled, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)


async def test_where_files_keep_no_such_times_nothing_is_in_doubt(
    make_cache: Callable[..., Any], file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or every pull would read its blob twice; the scrubber finds what is rotten there."""
    monkeypatch.setattr(files, "_keeps_marks", lambda _: False)
    cache = await make_cache()
    await pull(cache, BLOB, ScriptedSource(BLOB))
    await settled(cache)
    write(file, 7, 0)
    warm = cache.warm(BLOB.digest, BLOB.size)
    assert warm is not None
    warm.close()
