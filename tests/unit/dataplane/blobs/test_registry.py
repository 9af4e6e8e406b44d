"""BlobCache with a registry on a real socket, through the client that nodes use."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from clients.oci.blob import BlobAccess, BlobStream, open_blob
from clients.oci.errors import UpstreamDenied, UpstreamError, UpstreamNotFound, UpstreamUnavailable
from clients.oci.transport import Timeouts, Transport
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed, Fault
from tests.fakes.blobs import Blob, content_of
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.unit.dataplane.blobs.reading import (
    MIB,
    failed_pull,
    pull,
    read_until_failure,
    settled,
    spools,
    stored,
)

SIZE = 6 * MIB
# Seconds after which something goes on for ever.
PATIENCE = 10


@dataclass(frozen=True)
class RegistrySource:
    """One blob of the registry."""

    transport: Transport
    registry: FakeRegistry
    blob: Blob

    def __str__(self) -> str:
        return f"{self.registry.host}/team/app"

    def open(self, offset: int, stop: int | None = None) -> AbstractAsyncContextManager[BlobStream]:
        access = BlobAccess(self.registry.base_url, "team/app", "", allow_private=True)
        return open_blob(self.transport, access, self.blob.digest, offset=offset, stop=stop)


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    """An upstream with one image in team/app."""
    async with FakeRegistry() as registry:
        yield registry


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """The way to it, with little patience for silence."""
    async with Transport(allow_private=True, timeouts=Timeouts(idle=0.3)) as transport:
        yield transport


@pytest.fixture
def source(registry: FakeRegistry, transport: Transport) -> RegistrySource:
    """The image's layer."""
    image = registry.add(make_image([SIZE]), "team/app", ["1.0"])
    return RegistrySource(transport, registry, image.layers[0])


async def test_one_request_for_many_readers(
    cache: BlobCache, registry: FakeRegistry, source: RegistrySource
) -> None:
    """32 clients on a cold blob are one GET to the registry, and no HEAD."""
    pulled = await asyncio.gather(*(pull(cache, source.blob, source) for _ in range(32)))

    assert all(content == content_of(source.blob) for content in pulled)
    assert registry.totals() == {"GET blobs": 1}
    assert registry.bytes_sent == source.blob.size


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_connection_that_breaks_three_times(
    cache: BlobCache, registry: FakeRegistry, source: RegistrySource, *, ranges: bool
) -> None:
    """The client gets every byte; with ranges the upstream sends next to nothing twice."""
    registry.ranges = ranges
    registry.faults.add("blobs", cut_after=SIZE // 3, times=3)

    assert await pull(cache, source.blob, source) == content_of(source.blob)

    if ranges:
        assert registry.bytes_sent <= 1.05 * source.blob.size


@pytest.mark.parametrize("percent", [10, 50, 99])
async def test_cut_three_times_in_a_row(
    make_cache: Callable[..., Any], registry: FakeRegistry, source: RegistrySource, percent: int
) -> None:
    """At 10, 50, 99 percent: clients of two processes get every byte, and the upstream hardly one twice."""
    caches = [await make_cache(), await make_cache()]
    registry.faults.add("blobs", cut_after=SIZE * percent // 100, times=1)
    registry.faults.add("blobs", cut_after=SIZE // 1000, times=2)

    pulled = await asyncio.gather(*(pull(cache, source.blob, source) for cache in caches for _ in range(4)))

    assert all(content == content_of(source.blob) for content in pulled)
    assert registry.count("GET", "blobs") == 4
    assert registry.bytes_sent <= 1.05 * source.blob.size


async def test_a_stalled_upstream_is_broken_off_and_resumed(
    cache: BlobCache, registry: FakeRegistry, source: RegistrySource
) -> None:
    """Silence in mid-blob costs the idle time-out, and then the rest comes by Range."""
    gate = asyncio.Event()
    registry.faults.add("blobs", pause_after=MIB, gate=gate, times=1)

    assert await pull(cache, source.blob, source) == content_of(source.blob)
    gate.set()

    assert registry.requests[-1].headers["Range"] == f"bytes={MIB}-"
    assert cache.measures.resumes == 1


async def test_an_upstream_that_drips_is_broken_off_and_resumed(
    cache: BlobCache, registry: FakeRegistry, source: RegistrySource
) -> None:
    """A byte now and then holds no fetch: what little came is kept, and the rest is asked for anew."""
    registry.faults.add("blobs", rate=100, times=1)
    timeouts = Timeouts(idle=30, floor=1000, window=0.3)

    async with Transport(allow_private=True, timeouts=timeouts) as transport, asyncio.timeout(PATIENCE):
        assert await pull(cache, source.blob, replace(source, transport=transport)) == content_of(source.blob)

    assert int(registry.requests[-1].headers["Range"].removeprefix("bytes=").removesuffix("-")) > 0
    assert cache.measures.resumes == 1


async def test_a_flipped_byte_is_found(
    cache: BlobCache, registry: FakeRegistry, source: RegistrySource, root: Path
) -> None:
    """Whichever byte it is: the transfer is cut short, nothing is kept, the next pull is right."""
    for offset in (0, SIZE // 2, source.blob.size - 1):
        registry.faults.add("blobs", corrupt_at=offset, times=1)
        got, failure = await failed_pull(cache, source.blob.digest, source.blob.size, source)
        assert isinstance(failure, BlobFailed)
        assert failure.fault is Fault.DIGEST
        assert len(got) < source.blob.size
    await settled(cache)
    assert stored(root) == set()
    assert spools(root) == []

    assert await pull(cache, source.blob, source) == content_of(source.blob)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, UpstreamDenied), (404, UpstreamNotFound), (500, UpstreamUnavailable), (503, UpstreamUnavailable)],
)
async def test_a_refusal_reaches_the_readers(
    cache: BlobCache, registry: FakeRegistry, source: RegistrySource, status: int, kind: type[UpstreamError]
) -> None:
    """The registry's status is the client's own error, and the next pull asks again."""
    fault = registry.faults.add("blobs", status=status)

    got, failure = await failed_pull(cache, source.blob.digest, source.blob.size, source)

    assert got == b""
    assert isinstance(failure, kind)
    fault.times = 0
    assert await pull(cache, source.blob, source) == content_of(source.blob)


async def test_a_blob_of_another_length_is_refused(
    cache: BlobCache, registry: FakeRegistry, source: RegistrySource
) -> None:
    """A Content-Length that is not the manifest's size ends it before a byte."""
    registry.faults.add("blobs", content_length=SIZE - 1)

    got, failure = await failed_pull(cache, source.blob.digest, source.blob.size, source)

    assert got == b""
    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.SIZE


async def test_an_upstream_that_is_gone_serves_what_is_stored(
    cache: BlobCache, registry: FakeRegistry, source: RegistrySource
) -> None:
    """With the registry switched off the cold pull fails in a sentence, and the warm one works."""
    await registry.stop()
    _, failure = await failed_pull(cache, source.blob.digest, source.blob.size, source)
    assert isinstance(failure, UpstreamUnavailable)

    await registry.start()
    assert await pull(cache, source.blob, source) == content_of(source.blob)
    await settled(cache)
    await registry.stop()
    assert await pull(cache, source.blob, source) == content_of(source.blob)


async def test_stopping_in_mid_transfer_closes_the_connection(
    cache: BlobCache, registry: FakeRegistry, source: RegistrySource, root: Path
) -> None:
    """The node stops while an upstream is silent: readers are told at once, and nothing stays open."""
    gate = asyncio.Event()
    registry.faults.add("blobs", pause_after=MIB, gate=gate)
    with await cache.open(source.blob.digest, source.blob.size, source) as reader:
        await reader.available(0)
        reading = asyncio.create_task(read_until_failure(reader))
        await cache.stop()
        _, failure = await reading
    gate.set()

    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.STOPPED
    assert stored(root) == set()
