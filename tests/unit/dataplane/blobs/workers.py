"""Processes that pull one blob out of one folder, as the worker processes of a node do."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from clients.oci.blob import BlobAccess, open_blob
from clients.oci.transport import Timeouts, Transport
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.files import FileStore
from tests.fakes.blobs import Blob, GeneratedBlob
from tests.unit.dataplane.blobs.reading import settled

REPOSITORY = "team/app"


class RegistrySource:
    """One blob of a fake registry, by the client that nodes use."""

    def __init__(self, transport: Transport, base_url: str, blob: Blob) -> None:
        self._transport = transport
        self._base_url = base_url
        self._blob = blob

    def __str__(self) -> str:
        return self._base_url

    @asynccontextmanager
    async def open(self, offset: int, stop: int | None = None) -> AsyncIterator[object]:
        access = BlobAccess(self._base_url, REPOSITORY, "", allow_private=True)
        opened = open_blob(self._transport, access, self._blob.digest, offset=offset, stop=stop)
        async with opened as stream:
            yield stream


@asynccontextmanager
async def worker(root: Path, base_url: str, blob: GeneratedBlob, clients: int = 1) -> AsyncIterator[Process]:
    """A process that pulls the blob for so many clients, and prints a line for each mebibyte of the first.

    In the end it prints `right`, or what it failed with, for each of them.
    """
    arguments = [str(root), base_url, str(blob.seed), str(blob.size), str(clients)]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, *arguments, stdout=PIPE)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def lines(process: Process) -> list[str]:
    """What a worker printed until it ended."""
    out, _ = await process.communicate()
    return out.decode().split("\n")[:-1]


async def _pull(cache: BlobCache, source: RegistrySource, blob: Blob, *, talks: bool) -> str:
    hasher, got = blob.digest.hasher(), 0
    with await cache.open(blob.digest, blob.size, source) as reader:  # type: ignore[arg-type]
        async for piece in reader.read():
            hasher.update(piece)
            if talks and (got + len(piece)) >> 20 > got >> 20:
                print(f"MiB {got >> 20}", flush=True)
            got += len(piece)
    return "right" if hasher.hexdigest() == blob.digest.encoded else "wrong"


async def _main(root: Path, base_url: str, blob: GeneratedBlob, clients: int) -> None:
    cache = BlobCache(FileStore(root), root / "spool")
    await cache.start()
    async with Transport(allow_private=True, timeouts=Timeouts(idle=5)) as transport:
        source = RegistrySource(transport, base_url, blob)
        pulls = (_pull(cache, source, blob, talks=not client) for client in range(clients))
        for outcome in await asyncio.gather(*pulls, return_exceptions=True):
            print(outcome if isinstance(outcome, str) else f"{type(outcome).__name__}: {outcome}", flush=True)
        await settled(cache)
        await cache.stop()


if __name__ == "__main__":
    _root, _base_url, _seed, _size, _clients = sys.argv[1:]
    asyncio.run(_main(Path(_root), _base_url, GeneratedBlob(int(_seed), int(_size)), int(_clients)))
