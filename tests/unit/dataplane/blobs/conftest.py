"""A cache on a directory of its own, and what to ask it for."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from dataplane.blobs.cache import BlobCache
from dataplane.blobs.files import FileStore
from dataplane.blobs.patience import Patience
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
