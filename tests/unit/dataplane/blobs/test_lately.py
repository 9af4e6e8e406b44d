"""Lately: who wants a blob that was opened a moment ago gets the same open file, as long as that is right."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clients.oci.digest import Digest
from dataplane.blobs import lately as module
from dataplane.blobs.files import FileStore
from dataplane.blobs.lately import Lately
from dataplane.blobs.store import StoredBlob

CONTENT = b"layer" * 1000
DIGEST = Digest.of(CONTENT)


class Counted(FileStore):
    """A store that counts how often a blob is opened."""

    opened = 0

    def open(self, digest: Digest) -> StoredBlob | None:
        self.opened += 1
        return super().open(digest)


async def stored(store: FileStore, content: bytes, root: Path) -> None:
    """Has the store take a blob over."""
    (root / "spool").write_bytes(content)
    await store.commit(Digest.of(content), root / "spool")


@pytest.fixture
async def store(tmp_path: Path) -> Counted:
    """A store with one blob."""
    store = Counted(tmp_path)
    await store.prepare()
    await stored(store, CONTENT, tmp_path)
    return store


@pytest.fixture
async def lately(store: Counted) -> AsyncIterator[Lately]:
    """What is tested; leaves no file open."""
    before = descriptors()
    lately = Lately(store.open)
    yield lately
    lately.close()
    assert descriptors() == before


def descriptors() -> int:
    """Counts the open files of this process."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, of what is no directory of files


def read(blob: StoredBlob | None) -> bytes:
    """Reads a blob, and closes it."""
    assert blob is not None
    try:
        return os.pread(blob.file.fileno(), blob.size, 0)
    finally:
        blob.close()


async def test_readers_share_one_file(lately: Lately, store: Counted) -> None:
    """However many, at once or after each other; and none closes it under another."""
    with ExitStack() as readers:
        blobs = [lately.open(DIGEST) for _ in range(10)]
        for blob in blobs:
            assert blob is not None
            readers.callback(blob.close)
        first = blobs[0]
        assert first is not None
        first.close()
        with pytest.raises(ValueError, match="closed"):
            first.file.fileno()
        lately.close()
        assert read(blobs[1]) == CONTENT
    assert read(lately.open(DIGEST)) == CONTENT
    assert store.opened == 2


async def test_nothing_is_kept_for_long(
    lately: Lately, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment later nobody holds the file, and it can be evicted."""
    monkeypatch.setattr(module, "MOMENT", 0.05)
    assert read(lately.open(DIGEST)) == CONTENT
    assert not await store.evict(DIGEST)
    await asyncio.sleep(0.1)
    assert await store.evict(DIGEST)
    assert lately.open(DIGEST) is None


async def test_what_was_removed_is_not_there(lately: Lately, store: Counted) -> None:
    """As when the scrubber found that it is rotten."""
    assert read(lately.open(DIGEST)) == CONTENT
    await store.remove(DIGEST)
    assert lately.open(DIGEST) is None


async def test_what_was_removed_is_not_there_for_its_having_another_name(
    lately: Lately, store: Counted, tmp_path: Path
) -> None:
    """As where somebody keeps copies of the folder by hard links, which the removed file has left."""
    os.link(tmp_path / "blobs" / DIGEST.algorithm / DIGEST.encoded, tmp_path / "copy")
    assert read(lately.open(DIGEST)) == CONTENT
    await store.remove(DIGEST)
    assert lately.open(DIGEST) is None


async def test_after_the_end_nothing_is_kept(lately: Lately) -> None:
    """A request that was under way when the node stopped leaves no file open behind it."""
    before = descriptors()
    lately.close()
    assert read(lately.open(DIGEST)) == CONTENT
    assert descriptors() == before


async def test_what_was_stored_again_is_the_new_file(lately: Lately, store: Counted, tmp_path: Path) -> None:
    """It takes the place of one that could not be read."""
    before = lately.open(DIGEST)
    await stored(store, CONTENT, tmp_path)
    after = lately.open(DIGEST)
    assert before is not None
    assert after is not None
    assert before.inode != after.inode
    assert read(before) == read(after) == CONTENT


async def test_what_somebody_else_wrote_is_doubted(lately: Lately, tmp_path: Path) -> None:
    """Between two readers, in place: the second is told that the bytes are to be verified."""
    assert read(lately.open(DIGEST)) == CONTENT
    with (tmp_path / "blobs" / DIGEST.algorithm / DIGEST.encoded).open("r+b") as file:
        file.write(b"LAYER")
    for _ in range(2):
        blob = lately.open(DIGEST)
        assert blob is not None
        assert blob.changed is not None
        blob.close()


async def test_no_more_than_a_few_files_are_kept(
    lately: Lately, store: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are opened as ever."""
    monkeypatch.setattr(module, "_MOST", 2)
    contents = [bytes([number]) * 100 for number in range(4)]
    before = descriptors()
    for content in contents:
        await stored(store, content, tmp_path)
        assert read(lately.open(Digest.of(content))) == content
    assert descriptors() == before + 2
