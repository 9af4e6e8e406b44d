"""What every BlobStore must do; each implementation's tests run all of `REQUIREMENTS` against it."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from clients.oci.digest import Digest
from dataplane.blobs.store import BlobStore, StoredBlob

ONE = b"one blob"
TWO = b"another blob"


def read(stored: StoredBlob | None) -> bytes:
    """Reads what was opened, and closes it."""
    assert stored is not None
    try:
        return os.pread(stored.file.fileno(), stored.size, 0)
    finally:
        stored.close()


def any_file(folder: Path) -> bool:
    """Tells whether something is in folder."""
    return any(folder.iterdir())


async def put(store: BlobStore, folder: Path, content: bytes, digest: Digest | None = None) -> Digest:
    """Commits content by way of a spool file in folder."""
    digest = digest or Digest.of(content)
    spool = folder / "spool"
    spool.write_bytes(content)
    await store.commit(digest, spool)
    return digest


async def gives_what_it_took(store: BlobStore, folder: Path) -> None:
    """A committed blob can be opened, any number of times, with its size; the spool has become it."""
    digest = await put(store, folder, ONE)
    assert read(await store.open(digest)) == ONE
    assert read(await store.open(digest)) == ONE
    assert not any_file(folder)


async def knows_what_it_does_not_have(store: BlobStore, folder: Path) -> None:
    """An absent blob is None to open, and False to remove; that is no error."""
    assert await store.open(Digest.of(ONE)) is None
    assert await store.remove(Digest.of(ONE)) is False
    assert await store.entries() == []


async def keeps_algorithms_apart(store: BlobStore, folder: Path) -> None:
    """The same content by sha256 and by sha512 is two blobs."""
    digest = await put(store, folder, ONE, Digest.of(ONE, "sha512"))
    assert read(await store.open(digest)) == ONE
    assert await store.open(Digest.of(ONE)) is None
    assert [entry.digest for entry in await store.entries()] == [digest]


async def replaces_whole(store: BlobStore, folder: Path) -> None:
    """A second commit takes the place of the first; whoever has the first open still reads it."""
    digest = await put(store, folder, ONE)
    before = await store.open(digest)
    await put(store, folder, TWO, digest)
    assert read(await store.open(digest)) == TWO
    assert read(before) == ONE


async def removes_under_readers(store: BlobStore, folder: Path) -> None:
    """A removed blob is gone for who comes, and there for who came."""
    digest = await put(store, folder, ONE)
    before = await store.open(digest)
    assert await store.remove(digest) is True
    assert await store.open(digest) is None
    assert read(before) == ONE


async def lists_what_is_there(store: BlobStore, folder: Path) -> None:
    """Entries have digest and size of every blob, and of nothing else."""
    await put(store, folder, ONE)
    await put(store, folder, TWO)
    found = {entry.digest: entry.size for entry in await store.entries()}
    assert found == {Digest.of(ONE): len(ONE), Digest.of(TWO): len(TWO)}


async def refuses_a_spool_that_is_not_there(store: BlobStore, folder: Path) -> None:
    """A commit that fails changes nothing."""
    digest = await put(store, folder, ONE)
    try:
        await store.commit(digest, folder / "missing")
    except OSError:
        assert read(await store.open(digest)) == ONE
    else:
        raise AssertionError("committed nothing")


REQUIREMENTS: list[Callable[[BlobStore, Path], Awaitable[None]]] = [
    gives_what_it_took,
    knows_what_it_does_not_have,
    keeps_algorithms_apart,
    replaces_whole,
    removes_under_readers,
    lists_what_is_there,
    refuses_a_spool_that_is_not_there,
]
