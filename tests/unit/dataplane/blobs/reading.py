"""What tests of the blob cache do over and over."""

import asyncio
from pathlib import Path

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed
from dataplane.blobs.reader import BlobReader
from dataplane.blobs.source import Source
from tests.fakes.blobs import Blob

MIB = 1024 * 1024


async def pull(cache: BlobCache, blob: Blob, source: Source) -> bytes:
    """Opens a blob and reads it to its end."""
    with await cache.open(blob.digest, blob.size, source) as reader:
        return await read(reader)


async def read(reader: BlobReader, start: int = 0, stop: int | None = None) -> bytes:
    """Reads a part, to the end by default."""
    return b"".join([bytes(piece) async for piece in reader.read(start, stop)])


async def failed_pull(
    cache: BlobCache, digest: Digest, size: int, source: Source
) -> tuple[bytes, UpstreamError | BlobFailed]:
    """Opens a blob and reads as far as it goes; returns what came, and what ended it."""
    with await cache.open(digest, size, source) as reader:
        return await read_until_failure(reader)


async def read_until_failure(reader: BlobReader) -> tuple[bytes, UpstreamError | BlobFailed]:
    """Reads as far as it goes; returns what came, and what ended it."""
    got = bytearray()
    try:
        async for piece in reader.read():
            got += piece
    except (UpstreamError, BlobFailed) as error:
        return bytes(got), error
    raise AssertionError(f"read all {len(got)} bytes")


async def settled(cache: BlobCache) -> None:
    """Waits until no fill runs."""
    while cache.measures.running_fills:  # noqa: ASYNC110 - a fill tells nobody when it has ended
        await asyncio.sleep(0.001)


def stored(root: Path) -> set[str]:
    """The digests that have a file under their name."""
    return {f"{file.parent.name}:{file.name}" for file in (root / "blobs").glob("*/*")}


def spools(root: Path) -> list[Path]:
    """What is being fetched, or was left of it."""
    return [file for file in (root / "spool").iterdir() if file.suffix in (".spool", ".claim")]


async def instantly(seconds: float) -> None:
    """Stands for sleep."""
