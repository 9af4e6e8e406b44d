"""FileStore: the port's requirements, and an OCI image layout that other tools can read."""

import asyncio
import fcntl
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from clients.oci.digest import Digest
from clients.process.exits import ConfigurationError
from dataplane.blobs.files import FileStore
from dataplane.blobs.store import StoredBlob
from tests.unit.dataplane.blobs.conformance import ONE, REQUIREMENTS, TWO, Kept, Read

DAY = 86400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where spools are."""
    folder = tmp_path / "spools"
    folder.mkdir()
    return folder


@pytest.fixture
async def store(tmp_path: Path) -> FileStore:
    """A store that is ready, empty, and a day ahead of the files that tests write."""
    store = FileStore(tmp_path / "store")
    await store.prepare()
    return store


class KeptInFiles:
    """See Kept."""

    def __init__(self, store: FileStore, folder: Path) -> None:
        self._store = store
        self._folder = folder

    async def put(self, digest: Digest, content: bytes) -> None:
        await put(self._store, self._folder, content, digest)

    async def open(self, digest: Digest) -> Read | None:
        stored = self._store.open(digest)
        if stored is None:
            return None

        async def once() -> bytes:
            return read(stored)

        return once

    async def remove(self, digest: Digest) -> bool:
        return await self._store.remove(digest)

    async def sizes(self) -> dict[Digest, int]:
        return {entry.digest: entry.size for entry in await self._store.entries()}


async def put(store: FileStore, folder: Path, content: bytes, digest: Digest | None = None) -> Digest:
    """Commits content by way of a spool file in folder, which is gone then."""
    digest = digest or Digest.of(content)
    spool = folder / "spool"
    spool.write_bytes(content)
    await store.commit(digest, spool)
    assert not spool.exists()
    return digest


def read(stored: StoredBlob | None) -> bytes:
    """Reads what was opened, and closes it."""
    assert stored is not None
    try:
        return os.pread(stored.file.fileno(), stored.size, 0)
    finally:
        stored.close()


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.__name__)
async def test_conforms(
    store: FileStore, folder: Path, requirement: Callable[[Kept], Awaitable[None]]
) -> None:
    """What every place for blobs must do."""
    await requirement(KeptInFiles(store, folder))


async def test_a_commit_that_fails_changes_nothing(store: FileStore, folder: Path) -> None:
    """A spool that is not there cannot take the place of a blob."""
    digest = await put(store, folder, ONE)
    with pytest.raises(FileNotFoundError):
        await store.commit(digest, folder / "missing")
    assert read(store.open(digest)) == ONE


async def test_what_is_read_anywhere_is_not_evicted(store: FileStore, folder: Path, tmp_path: Path) -> None:
    """Also by another process; once it is closed, it goes."""
    digest = await put(store, folder, ONE)
    reading = FileStore(tmp_path / "store").open(digest)
    assert reading is not None
    assert await store.evict(digest) is False
    reading.close()
    assert await store.evict(digest) is True
    assert await store.evict(digest) is False
    assert store.open(digest) is None


async def test_what_is_verified_while_room_is_wanted_stays_verified(store: FileStore, folder: Path) -> None:
    """Who cannot evict it because it is read does not make it look as if it was written again."""
    digest = await put(store, folder, ONE)
    os.utime(folder.parent / "store" / "blobs" / digest.algorithm / digest.encoded)
    verifying = store.peek(digest)
    assert verifying is not None
    assert verifying.changed is not None
    assert await store.evict(digest) is False
    store.vouch(digest, verifying.changed)
    verifying.close()
    stored = store.peek(digest)
    assert stored is not None
    stored.close()
    assert stored.changed is None


async def test_of_two_that_store_a_blob_at_once_one_replaces_the_other(
    store: FileStore, folder: Path, tmp_path: Path
) -> None:
    """And hears what it replaced, in whatever process: they take turns at looking and storing."""
    digest = Digest.of(ONE)
    spools = [folder / "one", folder / "two"]
    for spool in spools:
        spool.write_bytes(ONE)
    stores = store, FileStore(tmp_path / "store")
    turn = os.open(tmp_path / "store" / "blobs" / digest.algorithm, os.O_RDONLY)
    try:
        fcntl.flock(turn, fcntl.LOCK_EX)
        commits = [
            asyncio.create_task(each.commit(digest, spool))
            for each, spool in zip(stores, spools, strict=True)
        ]
        done, _ = await asyncio.wait(commits, timeout=0.2)
        assert not done
    finally:
        os.close(turn)
    assert sorted(await asyncio.gather(*commits), key=bool) == [None, len(ONE)]


async def test_peeking_is_not_using(store: FileStore, folder: Path, tmp_path: Path) -> None:
    """What only looks leaves the order in which blobs go as it is."""
    digest = await put(store, folder, ONE)
    file = tmp_path / "store" / "blobs" / "sha256" / digest.encoded
    os.utime(file, (DAY, DAY))
    assert read(store.peek(digest)) == ONE
    assert file.stat().st_mtime == DAY


async def test_the_directory_is_an_image_layout(store: FileStore, folder: Path, tmp_path: Path) -> None:
    """`oci-layout`, an index, and every blob under blobs/<algorithm>/<encoded>, as image-layout.md says."""
    digest = await put(store, folder, ONE)

    root = tmp_path / "store"
    assert json.loads((root / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    index = json.loads((root / "index.json").read_text())
    assert (index["schemaVersion"], index["manifests"]) == (2, [])
    assert (root / "blobs" / "sha256" / digest.encoded).read_bytes() == ONE


async def test_preparing_again_changes_nothing(store: FileStore, folder: Path, tmp_path: Path) -> None:
    """A restart keeps the blobs, and an index that somebody else has written."""
    digest = await put(store, folder, ONE)
    index = tmp_path / "store" / "index.json"
    index.write_text("theirs")

    again = FileStore(tmp_path / "store")
    await again.prepare()

    assert read(again.open(digest)) == ONE
    assert index.read_text() == "theirs"


async def test_other_files_are_left_alone(store: FileStore, folder: Path, tmp_path: Path) -> None:
    """What is not named like a digest is no blob."""
    (tmp_path / "store" / "blobs" / "sha256" / "README").write_text("")

    assert await store.entries() == []


async def test_a_root_that_is_no_directory_is_a_clear_error(tmp_path: Path) -> None:
    """One sentence that names the place and the setting."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match=r"file.*PENSTOCK_BLOB_STORE"):
        await FileStore(tmp_path / "file").prepare()


async def test_use_is_noted_by_the_hour_and_survives_a_restart(folder: Path, tmp_path: Path) -> None:
    """Entries come least recently used first, by what the disk knows, without a write for every open."""
    now = [0.0]
    store = FileStore(tmp_path / "store", clock=lambda: now[0])
    await store.prepare()
    one, two = await put(store, folder, ONE), await put(store, folder, TWO)
    files = tmp_path / "store" / "blobs" / "sha256"
    for digest, used in ((one, 10 * DAY), (two, 11 * DAY)):
        os.utime(files / digest.encoded, (used, used))
        store.vouch(digest, int(used) * 10**9)

    async def order() -> list[Digest]:
        return [entry.digest for entry in await FileStore(tmp_path / "store").entries()]

    assert await order() == [one, two]
    now[0] = 12 * DAY
    read(store.open(one))
    assert await order() == [two, one]
    now[0] += 3599
    read(store.open(one))
    assert int((files / one.encoded).stat().st_mtime) == 12 * DAY
    now[0] += 1
    read(store.open(one))
    assert int((files / one.encoded).stat().st_mtime) == now[0]
