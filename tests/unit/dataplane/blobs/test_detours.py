"""Detours: what one reader alone waits for stands in nobody else's way."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

import pytest

from dataplane.blobs.detour import Detours
from dataplane.blobs.measures import Measures
from dataplane.blobs.patience import Patience
from dataplane.blobs.spool import Spool
from dataplane.blobs.threads import Threads
from dataplane.blobs.way import Way
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource
from tests.fakes.waiting import until
from tests.unit.dataplane.blobs.reading import MIB

BLOB = GeneratedBlob(1, 32 * MIB)
START = BLOB.size - MIB
# More than there are threads.
BURST = 3 * (os.cpu_count() or 1)
# Seconds after which something goes on for ever.
PATIENCE = 10


class SlowDisk:
    """Lets no read of one file through until it is released; counts all of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        self.released = threading.Event()
        self.inode = -1
        self._preadv = os.preadv
        monkeypatch.setattr(os, "preadv", self._read)

    def _read(self, descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if os.fstat(descriptor).st_ino == self.inode:
            self.reads += 1
            self.released.wait(PATIENCE)
        return self._preadv(descriptor, buffers, offset)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> SlowDisk:
    """A disk that takes its time with one file."""
    return SlowDisk(monkeypatch)


@pytest.fixture
def threads(disk: SlowDisk) -> Iterator[Threads]:
    """The threads of a cache."""
    with Threads() as threads:
        yield threads
        disk.released.set()


@pytest.fixture
def before(tmp_path: Path) -> Iterator[FileIO]:
    """The beginning of the blob, as a fill has left it."""
    path = tmp_path / "spooled"
    path.write_bytes(content_of(BLOB)[:START])
    with FileIO(path, "rb") as file:
        yield file


def detours_of(threads: Threads) -> Detours:
    """As many as anybody wants."""
    return Detours(threads, Measures(), Patience(), 1000)


def way() -> Way:
    """The way to the blob."""
    return Way(BLOB.digest, BLOB.size, ScriptedSource(BLOB))


async def fill(path: Path, threads: Threads, *, adopt: bool = False) -> None:
    """Take the blob in as a fill does."""
    spool = Spool(path, BLOB.digest, BLOB.size, threads, adopt=adopt)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(spool.keep_behind())
            await spool.append(content_of(BLOB)[spool.accepted :])
        assert spool.is_right()
    finally:
        spool.leave()


async def test_a_burst_of_detours_stalls_no_fill(
    threads: Threads, disk: SlowDisk, before: FileIO, tmp_path: Path
) -> None:
    """They hash the beginning of their blob, which may be gibibytes from a slow disk: fills do not wait."""
    disk.inode = os.fstat(before.fileno()).st_ino
    detours = detours_of(threads)
    for _ in range(BURST):
        detours.begin(way(), START, BLOB.size, before)

    async with asyncio.timeout(PATIENCE):
        await until(_counts(disk))
        await fill(tmp_path / "new", threads)

    disk.released.set()
    await detours.stop()


async def test_fills_stall_no_detour(
    threads: Threads, disk: SlowDisk, before: FileIO, tmp_path: Path
) -> None:
    """Nor do the others wait for fills that read back what a process has left."""
    paths = [tmp_path / f"left-{number}" for number in range(BURST)]
    for path in paths:
        os.link(before.name, path)
    disk.inode = paths[0].stat().st_ino
    fills = [asyncio.create_task(fill(path, threads, adopt=True)) for path in paths]
    detours = detours_of(threads)

    async with asyncio.timeout(PATIENCE):
        await until(_counts(disk))
        detour = detours.begin(way(), START, BLOB.size, None, from_zero=True)
        assert b"".join([bytes(piece) async for piece in detour.pieces()]) == content_of(BLOB)[START:]

    for task in fills:
        task.cancel()
    disk.released.set()
    await asyncio.gather(*fills, return_exceptions=True)
    await detours.stop()


async def test_a_detour_that_is_closed_reads_no_further(
    threads: Threads, disk: SlowDisk, before: FileIO
) -> None:
    """A client that has left, or a node that stops, does not wait until all of the beginning is hashed."""
    disk.inode = os.fstat(before.fileno()).st_ino
    detours = detours_of(threads)
    detour = detours.begin(way(), START, BLOB.size, before)
    async with asyncio.timeout(PATIENCE):
        await until(_counts(disk))
        detour.close()
        disk.released.set()
        with suppress(asyncio.CancelledError):
            await detour.task
    assert disk.reads <= 8


def _counts(disk: SlowDisk) -> Callable[[], Awaitable[bool]]:
    async def read() -> bool:
        return disk.reads > 0

    return read
