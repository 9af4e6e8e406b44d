"""Spool: what is appended is in the file and in the hash, in whatever pieces, within a bounded memory."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from clients.oci.digest import Digest
from dataplane.blobs.hashing import FileHash
from dataplane.blobs.spool import Spool
from dataplane.blobs.threads import Threads
from tests.unit.dataplane.blobs.reading import MIB


@pytest.fixture
def threads() -> Iterator[Threads]:
    """Threads of one's own."""
    with Threads() as threads:
        yield threads


async def fill(spool: Spool, chunks: Sequence[bytes]) -> None:
    """Appends everything, and waits until it is written and hashed."""
    async with asyncio.TaskGroup() as group:
        group.create_task(spool.keep_behind())
        for chunk in chunks:
            await spool.append(chunk)


@pytest.mark.parametrize("chunk", [1, 999, 64 * 1024, 3 * MIB])
async def test_chunks_of_any_size_arrive(threads: Threads, tmp_path: Path, chunk: int) -> None:
    """Single bytes in great number, and chunks larger than the buffer."""
    content = os.urandom(5000 * chunk if chunk < 1000 else 2 * chunk + 1)
    spool = Spool(tmp_path / "spool", Digest.of(content), len(content), threads)

    await fill(spool, [content[at : at + chunk] for at in range(0, len(content), chunk)])

    assert spool.is_right()
    assert (tmp_path / "spool").read_bytes() == content
    await spool.discard()
    assert not (tmp_path / "spool").exists()


async def test_a_disk_that_takes_less_at_once_loses_nothing(
    threads: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short write, as a nearly full disk makes them, is continued where it stopped."""
    pwritev = os.pwritev

    def short(descriptor: int, buffers: Sequence[bytes], offset: int) -> int:
        return pwritev(descriptor, [b"".join(buffers)[:70_001]], offset)

    monkeypatch.setattr(os, "pwritev", short)
    content = os.urandom(MIB)
    spool = Spool(tmp_path / "spool", Digest.of(content), MIB, threads)

    await fill(spool, [content[at : at + 50_000] for at in range(0, MIB, 50_000)])

    assert spool.is_right()
    assert (tmp_path / "spool").read_bytes() == content
    await spool.discard()


async def test_other_bytes_are_not_right(threads: Threads, tmp_path: Path) -> None:
    """Too little, and wrong, is not right."""
    spool = Spool(tmp_path / "spool", Digest.of(b"right"), 5, threads)
    assert not spool.is_right()
    await fill(spool, [b"wrong"])
    assert not spool.is_right()
    await spool.discard()


async def test_what_cannot_be_written_is_not_taken(threads: Threads, tmp_path: Path) -> None:
    """While nothing is written, the caller is held up after about a mebibyte: memory is bounded."""
    spool = Spool(tmp_path / "spool", Digest.of(b""), 100 * MIB, threads)

    async def flood() -> None:
        while True:
            await spool.append(bytes(64 * 1024))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flood(), 0.05)

    assert MIB <= spool.accepted <= 2 * MIB
    await spool.discard()


@pytest.mark.parametrize("left", [MIB + 7, 17 * MIB])
async def test_what_another_process_wrote_is_hashed_from_the_file(
    threads: Threads, tmp_path: Path, left: int
) -> None:
    """The first bytes were there already, the others come: while the first are hashed, and after."""
    content = os.urandom(left + 5 * MIB)
    (tmp_path / "spool").write_bytes(content[:left])
    spool = Spool(tmp_path / "spool", Digest.of(content), len(content), threads, adopt=True)
    assert spool.accepted == left
    await fill(spool, [content[at : at + 300_000] for at in range(left, len(content), 300_000)])
    assert spool.is_right()
    assert (tmp_path / "spool").read_bytes() == content
    await spool.discard()


async def test_readers_are_not_kept_waiting_while_what_was_left_is_hashed(
    threads: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New bytes are in the file long before 64 MiB of old ones are hashed."""
    read, hashed = FileHash.read, [0]

    def noted(self: FileHash, descriptor: int, stop: int) -> None:
        read(self, descriptor, stop)
        hashed.append(stop)

    monkeypatch.setattr(FileHash, "read", noted)
    content = os.urandom(64 * MIB + 2)
    (tmp_path / "spool").write_bytes(content[:-2])
    spool = Spool(tmp_path / "spool", Digest.of(content), len(content), threads, adopt=True)
    await spool.append(content[-2:-1])
    keeping = asyncio.create_task(spool.keep_behind())
    await spool.grown.wait()
    assert spool.written == len(content) - 1
    assert hashed[-1] <= 8 * MIB
    await spool.append(content[-1:])
    await keeping
    assert spool.is_right()
    await spool.discard()


async def test_what_was_left_is_hashed_while_more_is_written(
    threads: Threads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the upstream never lets the disk rest: the end is not held back for all of it."""
    read, spool_holds, behind = FileHash.read, [0], []

    def noted(self: FileHash, descriptor: int, stop: int) -> None:
        behind.append(spool_holds[0] - self.position)
        read(self, descriptor, stop)

    monkeypatch.setattr(FileHash, "read", noted)
    content = os.urandom(40 * MIB)
    (tmp_path / "spool").write_bytes(content[: 20 * MIB])
    spool = Spool(tmp_path / "spool", Digest.of(content), len(content), threads, adopt=True)

    async def flood() -> None:
        for at in range(20 * MIB, len(content), 64 * 1024):
            await spool.append(content[at : at + 64 * 1024])
            spool_holds[0] = spool.written

    async with asyncio.TaskGroup() as group:
        group.create_task(spool.keep_behind())
        group.create_task(flood())

    assert spool.is_right()
    assert max(behind) <= 22 * MIB
    await spool.discard()


async def test_a_spool_never_takes_an_existing_file(threads: Threads, tmp_path: Path) -> None:
    """Two fetches cannot write into one file."""
    (tmp_path / "spool").write_bytes(b"somebody else's")
    with pytest.raises(FileExistsError):
        Spool(tmp_path / "spool", Digest.of(b""), 1, threads)
