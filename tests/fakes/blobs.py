"""Blobs that tests pull: held in memory, or generated as they are read, so that size costs nothing."""

import hashlib
import random
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from clients.oci.digest import Digest

CHUNK = 256 * 1024


class Blob(Protocol):
    """Bytes with a digest, readable from anywhere."""

    @property
    def size(self) -> int: ...

    @property
    def digest(self) -> Digest: ...

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        """Yields the bytes [start, stop) in chunks of at most 256 KiB."""
        ...


def content_of(blob: Blob) -> bytes:
    """Reads a whole blob into memory."""
    return b"".join(blob.read(0, blob.size))


@dataclass(frozen=True, slots=True)
class BytesBlob:
    """A blob that is held in memory."""

    content: bytes

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        for at in range(start, min(stop, self.size), CHUNK):
            yield self.content[at : min(at + CHUNK, stop)]


@dataclass(frozen=True, slots=True)
class GeneratedBlob:
    """`size` bytes that follow from `seed`; no two of its 256 KiB blocks are equal.

    Generating costs one copy of memory, so that a test may pull hundreds of megabytes.
    """

    seed: int
    size: int

    @property
    def digest(self) -> Digest:
        return _digest(self)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        rest = _block(self.seed)
        at, stop = start, min(stop, self.size)
        while at < stop:
            block, skip = divmod(at, CHUNK)
            whole = block.to_bytes(16, "big") + rest
            piece = whole[skip : skip + stop - at]
            yield piece
            at += len(piece)


@dataclass(frozen=True, slots=True)
class JoinedBlob:
    """Blobs one after the other."""

    parts: tuple[Blob, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    @property
    def digest(self) -> Digest:
        return _digest(self)

    def read(self, start: int, stop: int) -> Iterator[bytes]:
        for part in self.parts:
            if start < part.size and stop > 0:
                yield from part.read(max(start, 0), min(stop, part.size))
            start -= part.size
            stop -= part.size


def tar_of(files: Sequence[tuple[str, Blob]]) -> Blob:
    """Makes an uncompressed layer, byte for byte the same each time, of files by name."""
    parts: list[Blob] = []
    for name, blob in files:
        header = tarfile.TarInfo(name)
        header.size = blob.size
        header.mode = 0o644
        parts += [BytesBlob(header.tobuf(tarfile.USTAR_FORMAT)), blob, BytesBlob(bytes(-blob.size % 512))]
    return JoinedBlob((*parts, BytesBlob(bytes(1024))))


def tar_of_size(seed: int, size: int) -> Blob:
    """Makes an uncompressed layer of `size` bytes, rounded up to records of 512, with one generated file."""
    records = max(-(-size // 512), 4)
    # One record of header, two of end.
    return tar_of([(f"layer-{seed}", GeneratedBlob(seed, (records - 3) * 512))])


@lru_cache(maxsize=16)
def _block(seed: int) -> bytes:
    return random.Random(seed).randbytes(CHUNK - 16)


@lru_cache(maxsize=256)
def _digest(blob: Blob) -> Digest:
    hasher = hashlib.sha256()
    for chunk in blob.read(0, blob.size):
        hasher.update(chunk)
    return Digest("sha256", hasher.hexdigest())
