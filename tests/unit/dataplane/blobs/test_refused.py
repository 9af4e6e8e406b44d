"""BlobCache: what an upstream or a manifest has wrong is never served, never kept, and said clearly."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from clients.oci.errors import UpstreamDenied, UpstreamNotFound
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.fill import HELD_BACK
from tests.fakes.blobs import BytesBlob, GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import (
    MIB,
    failed_pull,
    pull,
    read,
    read_until_failure,
    settled,
    spools,
    stored,
)


async def test_wrong_bytes_are_cut_short_and_never_kept(
    cache: BlobCache, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The digest is wrong: nobody gets the end, nothing is stored, it is loud, the next pull is right."""
    blob, other = GeneratedBlob(8, 2 * MIB), GeneratedBlob(9, 2 * MIB)
    source = ScriptedSource(blob, Turn(blob=other))
    readers = [await cache.open(blob.digest, blob.size, source) for _ in range(3)]

    for reader in readers:
        got, failure = await read_until_failure(reader)
        reader.close()
        assert len(got) <= blob.size - HELD_BACK
        assert isinstance(failure, BlobFailed)
        assert failure.fault is Fault.DIGEST
        assert str(blob.digest) in str(failure)
    assert cache.measures.digest_mismatches == 1
    assert cache.measures.failed_fills == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "registry.example/team/app" in caplog.text

    assert await pull(cache, blob, source) == content_of(blob)
    await settled(cache)
    assert stored(root) == {str(blob.digest)}
    assert spools(root) == []
    assert source.asked == [0, 0]


async def test_of_a_small_blob_that_is_wrong_nobody_gets_a_byte(cache: BlobCache) -> None:
    """What fits into the held-back chunk fails before a status had to be sent."""
    blob = BytesBlob(b"right")

    got, failure = await failed_pull(
        cache, blob.digest, blob.size, ScriptedSource(blob, Turn(blob=BytesBlob(b"wrong")))
    )

    assert got == b""
    assert isinstance(failure, BlobFailed)


async def test_the_upstreams_own_error_reaches_every_reader(cache: BlobCache, root: Path) -> None:
    """Everybody who waits sees the upstream's refusal itself, and whoever comes after it asks again."""
    blob = BytesBlob(b"content")
    refused = UpstreamDenied("registry.example", "registry.example wants other credentials.")
    source = ScriptedSource(blob, Turn(refused=refused))
    readers = [await cache.open(blob.digest, blob.size, source) for _ in range(2)]

    for reader in readers:
        with pytest.raises(UpstreamDenied) as caught:
            await reader.available(0)
        assert caught.value is refused
        reader.close()

    assert await pull(cache, blob, source) == blob.content


async def test_an_upstream_with_another_size_is_refused_at_once(cache: BlobCache, root: Path) -> None:
    """A Content-Length that disagrees with the manifest fails before a byte is served, and names both."""
    blob = GeneratedBlob(10, MIB)

    got, failure = await failed_pull(cache, blob.digest, MIB - 1, ScriptedSource(blob))

    assert got == b""
    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.SIZE
    assert str(MIB) in str(failure)
    assert str(MIB - 1) in str(failure)
    await settled(cache)
    assert stored(root) == set()


async def test_a_body_that_does_not_end_is_refused(cache: BlobCache) -> None:
    """Without a Content-Length, more bytes than the manifest says end the fetch."""
    blob = GeneratedBlob(11, MIB)

    _, failure = await failed_pull(cache, blob.digest, MIB - 1, ScriptedSource(blob, Turn(size=None)))

    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.SIZE


async def test_a_wrong_manifest_does_not_spoil_a_right_one(cache: BlobCache) -> None:
    """Two manifests disagree on a blob's size: the fetch for the wrong one fails, and only that."""
    blob, gate = GeneratedBlob(12, MIB), asyncio.Event()
    source = ScriptedSource(blob, Turn(pause_after=0, gate=gate, size=None))

    with await cache.open(blob.digest, MIB + 1, source) as wrong:
        right = asyncio.create_task(pull(cache, blob, source))
        await asyncio.sleep(0)
        gate.set()
        assert await right == content_of(blob)
        with pytest.raises(BlobFailed):
            await read(wrong)


async def test_a_manifest_with_a_wrong_size_does_not_cost_a_stored_blob(cache: BlobCache) -> None:
    """What is stored is verified; asking for it with another size fails, and leaves it there."""
    blob = GeneratedBlob(14, MIB)
    source = ScriptedSource(blob)
    await pull(cache, blob, source)
    await settled(cache)

    await failed_pull(cache, blob.digest, MIB - 1, source)

    with await cache.open(blob.digest, MIB, source) as reader:
        assert reader.warm


async def test_a_source_with_a_bug_fails_that_blob_only(
    cache: BlobCache, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that nobody expects reaches the readers as a sentence, and the log with its traceback."""
    blob = BytesBlob(b"content")

    class Broken:
        def open(self, offset: int, stop: int | None = None) -> Any:
            raise KeyError("secret")

    _, failure = await failed_pull(cache, blob.digest, blob.size, Broken())

    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.NODE
    assert "secret" not in str(failure)
    assert caplog.records[-1].exc_info
    assert await pull(cache, blob, ScriptedSource(blob)) == blob.content


async def test_an_absent_blob_is_forgotten(cache: BlobCache, root: Path) -> None:
    """A blob that the upstream does not have leaves no trace, neither file nor task."""
    blob = BytesBlob(b"content")
    gone = UpstreamNotFound("registry.example", "registry.example does not have it.")

    _, failure = await failed_pull(cache, blob.digest, blob.size, ScriptedSource(blob, Turn(refused=gone)))

    assert failure is gone
    await settled(cache)
    assert spools(root) == []
