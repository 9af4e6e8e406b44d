"""BlobReader: exactly the bytes that were asked for, copied or sent by the kernel."""

import os
from io import FileIO
from pathlib import Path

import pytest

from dataplane.blobs import reader as reading
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed
from dataplane.blobs.reader import LARGE, PIECE, QUICK, BlobReader
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource
from tests.unit.dataplane.blobs.reading import MIB, read

BLOB = GeneratedBlob(1, 2 * MIB + 3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with the blob."""
    path = tmp_path / "blob"
    path.write_bytes(content_of(BLOB))
    return path


@pytest.mark.parametrize(
    ("start", "stop"), [(0, None), (0, 0), (1, 2), (PIECE - 1, PIECE + 1), (5, BLOB.size), (BLOB.size, None)]
)
async def test_reads_exactly_the_part(file: Path, start: int, stop: int | None) -> None:
    """Any part, in pieces that stay small."""
    with BlobReader(FileIO(file), BLOB.size, None) as reader:
        assert await read(reader, start, stop) == content_of(BLOB)[start:stop]
        assert all([len(piece) <= PIECE async for piece in reader.read(start, stop)])


@pytest.mark.parametrize(("prompt", "largest"), [(60.0, LARGE), (0.0, PIECE)])
async def test_only_a_client_that_keeps_up_gets_large_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prompt: float, largest: int
) -> None:
    """A slow one costs a small piece in memory, however long it stays; both get the same bytes."""
    monkeypatch.setattr(reading, "_PROMPT", prompt)
    blob = GeneratedBlob(2, (QUICK + 9) * PIECE)
    path = tmp_path / "large"
    path.write_bytes(content_of(blob))
    with BlobReader(FileIO(path), blob.size, None) as reader:
        pieces = [piece async for piece in reader.read()]
    assert b"".join(pieces) == content_of(blob)
    assert {len(piece) for piece in pieces[:QUICK]} == {PIECE}
    assert max(map(len, pieces)) == largest


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (3, 2), (0, BLOB.size + 1), (BLOB.size + 1, None)])
async def test_a_part_outside_is_a_mistake_of_the_caller(file: Path, start: int, stop: int | None) -> None:
    """Bounds that no blob of this size has are refused, and not clipped."""
    with BlobReader(FileIO(file), BLOB.size, None) as reader, pytest.raises(ValueError, match="bytes"):
        await read(reader, start, stop)


async def test_a_file_that_lost_its_end_while_it_was_read_fails(file: Path) -> None:
    """A body is never padded, and never ends early as if it was whole."""
    with BlobReader(FileIO(file), BLOB.size, None) as reader:
        os.truncate(file, MIB)
        with pytest.raises(BlobFailed):
            await read(reader)


async def test_what_is_not_in_memory_is_read_as_well(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the page cache has nothing, or the file system cannot tell, the bytes come from a thread."""
    preadv = os.preadv

    def without_page_cache(descriptor: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if flags:
            raise BlockingIOError
        return preadv(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", without_page_cache)
    with BlobReader(FileIO(file), BLOB.size, None) as reader:
        assert await read(reader) == content_of(BLOB)


async def test_a_disk_that_fails_is_a_sentence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An input/output error of the disk reaches the caller as BlobFailed."""

    def broken(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "preadv", broken)
    with BlobReader(FileIO(file), BLOB.size, None) as reader, pytest.raises(BlobFailed, match="Input/output"):
        await read(reader)


async def test_the_kernel_can_send_what_is_available(cache: BlobCache, tmp_path: Path) -> None:
    """Descriptor and available range are enough to send a blob while it arrives, without reading it."""
    out = os.open(tmp_path / "sent", os.O_WRONLY | os.O_CREAT)
    with await cache.open(BLOB.digest, BLOB.size, ScriptedSource(BLOB)) as reader:
        at = 0
        while at < BLOB.size:
            end = await reader.available(at)
            while at < end:
                at += os.sendfile(out, reader.fileno(), at, end - at)
    os.close(out)

    assert (tmp_path / "sent").read_bytes() == content_of(BLOB)


def test_a_closed_reader_has_no_descriptor(file: Path) -> None:
    """A number that may mean another file by now is never given out; closing twice is harmless."""
    reader = BlobReader(FileIO(file), BLOB.size, None)
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.fileno()
