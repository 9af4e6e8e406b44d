"""A cache on a directory of its own, what to ask it for, and a bucket to put behind it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from dataplane.blobs import bucket_client
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketClient
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.files import FileStore
from dataplane.blobs.patience import Patience
from dataplane.blobs.place import Place
from tests.fakes.faulty_bucket import FaultyBucket
from tests.servers.moto import Moto
from tests.unit.dataplane.blobs.reading import instantly


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the store is, with the spools beside it."""
    return tmp_path / "blobs"


@pytest.fixture
async def make_cache(root: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes caches over `root`, started, and stops them in the end; back-off takes no time."""
    async with AsyncExitStack() as stack:

        async def make(**how: Any) -> BlobCache:
            store = how.pop("store", None) or FileStore(root)
            cache = BlobCache(store, root / "spool", **{"patience": Patience(sleep=instantly), **how})
            stack.push_async_callback(cache.stop)
            await cache.start()
            return cache

        yield make


@pytest.fixture
async def cache(make_cache: Callable[..., Any]) -> BlobCache:
    """A cache without a limit."""
    made: BlobCache = await make_cache()
    return made


@pytest.fixture
async def proxy(moto: Moto) -> AsyncIterator[FaultyBucket]:
    """The way to the server, where it can go wrong."""
    async with FaultyBucket(moto.url) as proxy:
        yield proxy


@pytest.fixture
def silence() -> float:
    """Seconds that the server may take; many, as this machine may be busy."""
    return 60.0


@pytest.fixture
async def bucket(
    proxy: FaultyBucket, moto: Moto, aws: None, monkeypatch: pytest.MonkeyPatch, silence: float
) -> AsyncIterator[Bucket]:
    """An empty bucket, used under a prefix."""
    monkeypatch.setattr(bucket_client, "_SILENCE", silence)
    monkeypatch.setattr(bucket_client, "_ANSWER", silence)
    async with BucketClient(Place(moto.new_bucket(), "cache/blobs-of-ours", proxy.url)) as client:
        yield Bucket(client)


@pytest.fixture
async def make_node(bucket: Bucket, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes caches with a disk of their own and the one bucket, as nodes have them."""
    async with AsyncExitStack() as stack:

        async def make(name: str = "node", **how: Any) -> BlobCache:
            store = FileStore(tmp_path / name)
            cache = BlobCache(
                store, tmp_path / name / "spool", bucket=bucket, patience=Patience(sleep=instantly), **how
            )
            stack.push_async_callback(cache.stop)
            await cache.start()
            return cache

        yield make
