"""`kill -9` in mid-fetch: whatever the moment, a blob is whole under its name, or not there."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from dataplane.blobs.cache import BlobCache
from dataplane.blobs.files import FileStore
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource
from tests.unit.dataplane.blobs.reading import MIB, pull, settled, spools

BLOB = GeneratedBlob(1, 8 * MIB)

# Fetches the blob, and says so of each quarter of a mebibyte, then that all is there, then that it was kept.
FETCH = """
import asyncio, sys
from pathlib import Path
from tests.unit.dataplane.blobs.test_kill import BLOB
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.files import FileStore
from tests.fakes.sources import ScriptedSource

async def fetch(root):
    cache = BlobCache(FileStore(root), root / "spool")
    await cache.start()
    with await cache.open(BLOB.digest, BLOB.size, ScriptedSource(BLOB)) as reader:
        told = 0
        async for piece in reader.read():
            told += len(piece)
            print("a quarter of a mebibyte\\n" * (told // 262_144), end="", flush=True)
            told %= 262_144
    print("read", flush=True)
    await asyncio.sleep(60)

asyncio.run(fetch(Path(sys.argv[1])))
"""


@pytest.mark.parametrize("moment", [1, 10, 20, 30, 32, 33])
async def test_a_blob_is_whole_or_absent(root: Path, moment: int) -> None:
    """Killed after so many quarters of a MiB, or when all was read; a new process serves the right bytes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FETCH, str(root), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    for _ in range(moment):
        assert await process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    await process.communicate()

    kept = root / "blobs" / "sha256" / BLOB.digest.encoded
    assert not kept.exists() or kept.read_bytes() == content_of(BLOB)
    left = [spool.stat().st_size for spool in (root / "spool").glob("*.spool")]
    cache = BlobCache(FileStore(root), root / "spool")
    await cache.start()
    source = ScriptedSource(BLOB)
    assert await pull(cache, BLOB, source) == content_of(BLOB)
    await settled(cache)
    await cache.stop()
    assert spools(root) == []
    assert kept.read_bytes() == content_of(BLOB)
    # What had been spooled is not fetched again.
    assert source.asked == [size for size in left if size < BLOB.size]
