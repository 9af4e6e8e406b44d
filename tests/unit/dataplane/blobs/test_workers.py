"""Several worker processes over one folder: one fetch for all of them, whoever of them dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.waiting import until
from tests.unit.dataplane.blobs.reading import MIB, spools
from tests.unit.dataplane.blobs.workers import REPOSITORY, lines, worker

BLOB = GeneratedBlob(77, 12 * MIB)


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    """An upstream with the blob."""
    async with FakeRegistry() as registry:
        registry.add(make_image([BLOB]), REPOSITORY)
        yield registry


async def test_one_upstream_request_for_all_workers(registry: FakeRegistry, root: Path) -> None:
    """32 clients over three processes: the blob comes once, and right to everybody."""
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(worker(root, registry.base_url, BLOB, clients))
            for clients in (10, 11, 11)
        ]
        outcomes = [line for process in workers for line in await lines(process) if "MiB" not in line]

    assert outcomes == ["right"] * 32
    assert registry.totals() == {"GET blobs": 1}
    assert registry.bytes_sent == BLOB.size
    assert (root / "blobs" / "sha256" / BLOB.digest.encoded).read_bytes() == content_of(BLOB)
    assert spools(root) == []


async def is_spooled(root: Path, size: int) -> bool:
    """Whether so many bytes of the one blob that is being fetched are on disk."""
    return any(file.suffix == ".spool" and file.stat().st_size >= size for file in spools(root))


async def test_when_the_filling_worker_is_killed_another_goes_on(registry: FakeRegistry, root: Path) -> None:
    """Twice in a row, `kill -9` in mid-fetch: the clients of the others notice nothing, and the upstream
    sends next to nothing twice.
    """
    first = registry.faults.add("blobs", pause_after=4 * MIB, times=1)
    second = registry.faults.add("blobs", pause_after=4 * MIB, times=1)
    assert first.matches("GET", "blobs", "")
    assert second.matches("GET", "blobs", "")

    async with AsyncExitStack() as stack:
        killed = []
        for _ in range(2):
            process = await stack.enter_async_context(worker(root, registry.base_url, BLOB))
            killed.append(process)
            assert process.stdout is not None
            await process.stdout.readuntil(b"MiB 2\n")
        last = await stack.enter_async_context(worker(root, registry.base_url, BLOB, 5))
        assert last.stdout is not None
        await last.stdout.readuntil(b"MiB 2\n")
        # What has been received and not written yet dies with a process: up to a mebibyte or two, if it is
        # killed while bytes come.
        await until(partial(is_spooled, root, 4 * MIB))
        killed[0].kill()
        await killed[1].stdout.readuntil(b"MiB 6\n")  # type: ignore[union-attr]
        await last.stdout.readuntil(b"MiB 6\n")
        await until(partial(is_spooled, root, 8 * MIB))
        killed[1].kill()
        outcomes = [line for line in await lines(last) if "MiB" not in line]

    assert outcomes == ["right"] * 5
    assert registry.count("GET", "blobs") == 3
    assert registry.bytes_sent <= 1.05 * BLOB.size
    assert (root / "blobs" / "sha256" / BLOB.digest.encoded).read_bytes() == content_of(BLOB)
    assert spools(root) == []


async def test_what_all_killed_workers_left_is_gone_on_with(registry: FakeRegistry, root: Path) -> None:
    """Nobody is left to take over: the next start does, with Range."""
    registry.faults.add("blobs", pause_after=8 * MIB, times=1)
    async with worker(root, registry.base_url, BLOB) as process:
        assert process.stdout is not None
        await process.stdout.readuntil(b"MiB 7\n")
        process.kill()
        await process.wait()

    async with worker(root, registry.base_url, BLOB) as process:
        assert (await lines(process))[-1] == "right"

    assert registry.requests[-1].headers["Range"].startswith("bytes=")
    assert registry.bytes_sent <= 1.05 * BLOB.size
    assert spools(root) == []


@pytest.mark.parametrize(
    ("status", "outcome"), [(403, "UpstreamDenied"), (404, "UpstreamNotFound"), (429, "UpstreamRateLimited")]
)
async def test_a_failure_is_the_same_in_all_workers(
    registry: FakeRegistry, root: Path, status: int, outcome: str
) -> None:
    """What the upstream says to the one that asks is what all clients get, by class."""
    gate = asyncio.Event()
    registry.faults.add("blobs", pause_after=4 * MIB, gate=gate, cut_after=5 * MIB, times=1)
    registry.faults.add("blobs", status=status, headers={"Retry-After": "900"})

    async with AsyncExitStack() as stack:
        workers = []
        for _ in range(2):
            process = await stack.enter_async_context(worker(root, registry.base_url, BLOB, 3))
            workers.append(process)
            assert process.stdout is not None
            await process.stdout.readuntil(b"MiB 2\n")
        gate.set()
        outcomes = [line for process in workers for line in await lines(process) if "MiB" not in line]

    assert [line.partition(":")[0] for line in outcomes] == [outcome] * 6
    assert registry.count("GET", "blobs") == 2
    assert spools(root) == []
