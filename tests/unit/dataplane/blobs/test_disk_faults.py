"""BlobCache on a disk that fails: clients get what can be had, never wrong bytes, and nothing leaks."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.oci.digest import Digest
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.files import FileStore
from dataplane.blobs.store import StoredBlob
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource
from tests.unit.dataplane.blobs.reading import MIB, failed_pull, pull, settled, spools, stored

BLOB = GeneratedBlob(1, 3 * MIB)


class FailingStore(FileStore):
    """A store whose disk can neither be read nor written to, for its blobs."""

    async def open(self, digest: Digest) -> StoredBlob | None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def commit(self, digest: Digest, spool: Path) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    async def remove(self, digest: Digest) -> bool:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


async def test_a_full_disk_is_said_so_and_heals(
    cache: BlobCache, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up in mid-fetch: readers are told, nothing stays, and with room again it works."""
    pwritev = os.pwritev

    def full(descriptor: int, buffers: list[bytes], offset: int) -> int:
        if offset > MIB:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwritev(descriptor, buffers, offset)

    with monkeypatch.context() as broken:
        broken.setattr(os, "pwritev", full)
        got, failure = await failed_pull(cache, BLOB.digest, BLOB.size, ScriptedSource(BLOB))
        await settled(cache)

    assert content_of(BLOB).startswith(got)
    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.NODE
    assert "No space left" in str(failure)
    assert str(root) not in str(failure)
    assert spools(root) == []
    assert await pull(cache, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)


async def test_a_spool_folder_that_is_gone_fails_the_open(cache: BlobCache, root: Path) -> None:
    """Where a fetch cannot even begin, there is no fetch, and a sentence."""
    (root / "spool").rmdir()
    source = ScriptedSource(BLOB)

    with pytest.raises(BlobFailed) as caught:
        await cache.open(BLOB.digest, BLOB.size, source)

    assert caught.value.fault is Fault.NODE
    assert source.asked == []
    assert cache.measures.running_fills == 0


async def test_a_store_that_fails_does_not_fail_the_pull(make_cache: Callable[..., Any], root: Path) -> None:
    """What cannot be read is fetched, what cannot be kept is served: clients notice nothing."""
    cache = await make_cache(store=FailingStore(root))
    source = ScriptedSource(BLOB)

    for _ in range(2):
        assert await pull(cache, BLOB, source) == content_of(BLOB)
        await settled(cache)

    assert source.asked == [0, 0]
    assert stored(root) == set()
    assert spools(root) == []
    assert cache.measures.cache_blobs == 0


async def test_a_blob_that_cannot_be_removed_does_not_stop_the_next(
    make_cache: Callable[..., Any], root: Path
) -> None:
    """Eviction that fails is logged, and the new blob is kept all the same."""

    class Unremovable(FileStore):
        async def remove(self, digest: Digest) -> bool:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    cache = await make_cache(store=Unremovable(root), max_bytes=BLOB.size)
    other = GeneratedBlob(2, MIB)
    for blob in (BLOB, other):
        assert await pull(cache, blob, ScriptedSource(blob)) == content_of(blob)
        await settled(cache)

    assert str(other.digest) in stored(root)
