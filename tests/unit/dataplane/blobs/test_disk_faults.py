"""BlobCache on a disk that fails: clients get what can be had, never wrong bytes, and nothing leaks."""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamNotFound
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.claim import Claim
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.files import FileStore
from dataplane.blobs.fill import HELD_BACK
from dataplane.blobs.reader import BlobReader
from dataplane.blobs.space import Limits
from dataplane.blobs.store import StoredBlob
from dataplane.descriptors import Descriptors
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.descriptors import none_left
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import MIB, failed_pull, pull, read, settled, spools, stored

BLOB = GeneratedBlob(1, 3 * MIB)


class FailingStore(FileStore):
    """A store whose disk can neither be read nor written to, for its blobs."""

    def open(self, digest: Digest) -> StoredBlob | None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def peek(self, digest: Digest) -> StoredBlob | None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def commit(self, digest: Digest, spool: Path) -> int | None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    async def remove(self, digest: Digest) -> bool:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def full_after(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes files unable to grow beyond so many bytes."""
    pwritev = os.pwritev

    def full(descriptor: int, buffers: list[bytes], offset: int) -> int:
        if offset > limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwritev(descriptor, buffers, offset)

    monkeypatch.setattr(os, "pwritev", full)


async def test_a_disk_that_fills_up_costs_clients_nothing(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In mid-fetch, with readers in two processes: everybody gets every byte, past the disk; it is said."""
    one, two = await make_cache(), await make_cache()
    source = ScriptedSource(BLOB)

    with monkeypatch.context() as broken:
        full_after(MIB, broken)
        pulls = [pull(cache, BLOB, source) for cache in (one, one, two, two)]
        assert await asyncio.gather(*pulls) == [content_of(BLOB)] * 4
        await settled(one)
        await settled(two)
    # Each goes on by itself from what was spooled.
    assert len(source.asked) == 5
    assert all(offset > 0 for offset in source.asked[1:])
    assert "No space left" in one.trouble
    assert "No space left" in two.trouble
    assert str(root) not in one.trouble
    assert spools(root) == []
    assert stored(root) == set()


async def test_a_troubled_disk_is_left_alone_for_a_while_and_heals(
    cache: BlobCache, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next pulls do not even try; after a pause one does, and all is well again."""
    now = [1000.0]
    monkeypatch.setattr(cache._trouble, "_clock", lambda: now[0])
    with monkeypatch.context() as broken:
        full_after(-1, broken)
        assert await pull(cache, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)
    source = ScriptedSource(BLOB)
    with await cache.open(BLOB.digest, BLOB.size, source) as reader:
        assert await reader.available(0) == 0
        with pytest.raises(ValueError, match="no file"):
            reader.fileno()
        assert await read(reader) == content_of(BLOB)
    assert cache.measures.unspooled == 1
    assert cache.measures.troubled == 1

    now[0] += 11
    assert await pull(cache, BLOB, source) == content_of(BLOB)
    await settled(cache)

    assert cache.trouble == ""
    assert cache.measures.troubled == 0
    assert stored(root) == {str(BLOB.digest)}


async def test_wrong_bytes_past_the_disk_are_cut_short(
    cache: BlobCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not stored is verified all the same: with what was spooled before, and from the start."""
    wrong = GeneratedBlob(2, BLOB.size)
    full_after(MIB, monkeypatch)

    for turns in ([Turn(), Turn(blob=wrong)], [Turn(blob=wrong)]):
        got, failure = await failed_pull(cache, BLOB.digest, BLOB.size, ScriptedSource(BLOB, *turns))
        assert isinstance(failure, BlobFailed)
        assert failure.fault is Fault.DIGEST
        assert len(got) <= BLOB.size - HELD_BACK
        await settled(cache)


async def test_an_upstream_that_breaks_past_the_disk_is_resumed(
    cache: BlobCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without a spool, a broken transfer goes on with Range, and memory stays bounded."""
    full_after(-1, monkeypatch)
    source = ScriptedSource(BLOB, Turn(), Turn(cut_after=MIB))

    assert await pull(cache, BLOB, source) == content_of(BLOB)

    assert source.asked == [0, 0, MIB]


async def test_only_so_many_go_past_the_disk(cache: BlobCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each costs memory: beyond the bound clients are told to come again, and it is free again afterwards."""
    full_after(-1, monkeypatch)
    monkeypatch.setattr(cache._detours, "_most", 1)
    await pull(cache, BLOB, ScriptedSource(BLOB))
    gate = asyncio.Event()
    slow = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    with await cache.open(BLOB.digest, BLOB.size, slow) as reader:
        await reader.available(0)
        _, failure = await failed_pull(cache, BLOB.digest, BLOB.size, ScriptedSource(BLOB))
        assert isinstance(failure, BlobFailed)
        assert failure.fault is Fault.NODE
    await asyncio.sleep(0)

    assert await pull(cache, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)


@pytest.fixture
def bad_sector(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The inodes of files that cannot be read beyond their first mebibyte."""
    bad: set[int] = set()
    preadv = os.preadv

    def read(descriptor: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if offset >= MIB and os.fstat(descriptor).st_ino in bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return preadv(descriptor, buffers, offset, flags)

    monkeypatch.setattr(os, "preadv", read)
    return bad


async def test_a_stored_blob_that_cannot_be_read_is_fetched_again(
    cache: BlobCache, root: Path, bad_sector: set[int]
) -> None:
    """An input/output error says nothing of the bytes: the file stays until a verified one replaces it.

    The client in whose read it happens gets every byte, verified; the disk is in use all the while.
    """
    await pull(cache, BLOB, ScriptedSource(BLOB))
    await settled(cache)
    file = root / "blobs" / "sha256" / BLOB.digest.encoded
    before = file.stat().st_ino
    bad_sector.add(before)

    source = ScriptedSource(BLOB)
    assert await pull(cache, BLOB, source) == content_of(BLOB)
    assert source.asked == [0]
    assert (cache.measures.unreadable, cache.measures.rotten) == (1, 0)
    assert file.stat().st_ino == before
    assert f"cannot read {BLOB.digest}: Input/output error" in cache.trouble
    assert cache.measures.troubled == 1

    assert cache.warm(BLOB.digest, BLOB.size) is None
    assert await pull(cache, BLOB, source) == content_of(BLOB)
    await settled(cache)
    assert source.asked == [0, 0]
    assert file.stat().st_ino != before
    assert (cache.measures.cache_blobs, cache.measures.cache_bytes) == (1, BLOB.size)
    assert (cache.trouble, cache.measures.troubled, cache.measures.unspooled) == ("", 0, 0)
    assert await pull(cache, BLOB, source) == content_of(BLOB)
    assert source.asked == [0, 0]


async def test_an_unreadable_blob_outlives_an_upstream_that_is_away(
    cache: BlobCache, root: Path, bad_sector: set[int]
) -> None:
    """The disk fails for a moment, the upstream as well: when the disk is back, so is the blob."""
    await pull(cache, BLOB, ScriptedSource(BLOB))
    await settled(cache)
    inode = (root / "blobs" / "sha256" / BLOB.digest.encoded).stat().st_ino
    bad_sector.add(inode)
    gone = UpstreamNotFound("registry.example", "registry.example does not have it.")

    for _ in range(2):
        _, failure = await failed_pull(
            cache, BLOB.digest, BLOB.size, ScriptedSource(BLOB, Turn(refused=gone))
        )
        assert isinstance(failure, UpstreamNotFound)
        await settled(cache)
    assert stored(root) == {str(BLOB.digest)}

    bad_sector.clear()
    with BlobReader(*_opened(root)) as reader:
        assert await read(reader) == content_of(BLOB)


def _opened(root: Path) -> tuple[FileIO, int, None]:
    return FileIO(root / "blobs" / "sha256" / BLOB.digest.encoded, "rb"), BLOB.size, None


async def test_no_descriptor_left_is_not_the_disk_s_trouble(make_cache: Callable[..., Any]) -> None:
    """Clients are told to come again, of cold blobs and of stored ones; then all is well by itself."""
    descriptors = Descriptors()
    cache = await make_cache(descriptors=descriptors)
    await pull(cache, BLOB, ScriptedSource(BLOB))
    await settled(cache)
    cold = GeneratedBlob(2, MIB)

    with none_left():
        assert cache.warm(BLOB.digest, BLOB.size) is None
        for blob in (BLOB, cold):
            with pytest.raises(BlobFailed, match="no file descriptor left") as told:
                await cache.open(blob.digest, blob.size, ScriptedSource(blob))
            assert told.value.fault is Fault.NODE
    assert (cache.trouble, cache.measures.troubled, cache.measures.unspooled) == ("", 0, 0)
    assert descriptors.trouble

    never = ScriptedSource(BLOB)
    assert await pull(cache, BLOB, never) == content_of(BLOB)
    assert never.asked == []
    assert await pull(cache, cold, ScriptedSource(cold)) == content_of(cold)


async def test_a_stored_blob_that_has_lost_its_end_is_dropped(cache: BlobCache, root: Path) -> None:
    """It is shorter while somebody reads it: the client gets every byte, verified, and the file goes."""
    await pull(cache, BLOB, ScriptedSource(BLOB))
    await settled(cache)
    source = ScriptedSource(BLOB)
    with await cache.open(BLOB.digest, BLOB.size, source) as reader:
        os.truncate(root / "blobs" / "sha256" / BLOB.digest.encoded, MIB)
        assert await read(reader) == content_of(BLOB)
    tasks = cache._background.tasks
    await asyncio.gather(*tasks - {task for task in tasks if task.get_name() != "forget"})

    assert cache.measures.rotten == 1
    assert stored(root) == set()


async def test_what_one_process_finds_the_others_know(make_cache: Callable[..., Any]) -> None:
    """The disk is the node's: if one process finds it wanting all leave it alone, and return together."""
    heard: list[str] = []
    other = await make_cache()
    cache = await make_cache(
        tell_trouble=lambda sentence: (heard.append(sentence), other.hear_trouble(sentence))
    )
    with pytest.MonkeyPatch.context() as broken:
        full_after(-1, broken)
        assert await pull(cache, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)
        await settled(cache)
    assert "No space left" in other.trouble
    assert other.measures.troubled == 1
    assert await pull(other, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)
    assert other.measures.unspooled == 1

    cache._trouble._until = 0.0
    await cache._upkeep.look(whole=False)
    assert (cache.trouble, other.trouble, heard[-1]) == ("", "", "")
    assert await pull(other, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)
    await settled(other)
    assert other.measures.misses == 1


async def test_a_claim_that_cannot_be_read_keeps_nobody_waiting(
    make_cache: Callable[..., Any], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a fetch has ended, and is to be told to other processes: all get every byte, and it lets go."""
    one, two = await make_cache(), await make_cache()
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    filling = asyncio.create_task(pull(one, BLOB, source))
    await asyncio.sleep(0.01)
    following = asyncio.create_task(pull(two, BLOB, source))
    while not two.measures.followers:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)
    with monkeypatch.context() as broken:
        broken.setattr(Claim, "_read", unreadable)
        gate.set()
        async with asyncio.timeout(10):
            assert await filling == await following == content_of(BLOB)
            await settled(one)
            await settled(two)

    assert stored(root) == {str(BLOB.digest)}
    assert spools(root) == []


def unreadable(_claim: Claim) -> dict[str, Any]:
    """Reads a claim from a disk that fails."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


async def test_a_spool_folder_that_is_gone_is_made_again(cache: BlobCache, root: Path) -> None:
    """Somebody cleans up by hand, and the node goes on."""
    shutil.rmtree(root / "spool")

    assert await pull(cache, BLOB, ScriptedSource(BLOB)) == content_of(BLOB)

    await settled(cache)
    assert stored(root) == {str(BLOB.digest)}


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
        async def evict(self, digest: Digest) -> bool:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    cache = await make_cache(store=Unremovable(root), limits=Limits(BLOB.size))
    other = GeneratedBlob(2, MIB)
    for blob in (BLOB, other):
        assert await pull(cache, blob, ScriptedSource(blob)) == content_of(blob)
        await settled(cache)

    assert str(other.digest) in stored(root)
