"""Fill: an upstream that breaks off is asked for the rest, for as long as it makes sense."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.oci.errors import (
    UpstreamDenied,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.blobs.files import FileStore
from dataplane.blobs.patience import Patience
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import MIB, failed_pull, instantly, pull, settled, spools, stored

BROKEN = UpstreamUnavailable("registry.example", "registry.example cannot be reached.")


async def test_the_rest_is_asked_for_where_it_stopped(cache: BlobCache, root: Path) -> None:
    """Cut at 10, 50 and 99 percent: the reader gets every byte, and the upstream sends none twice."""
    blob = GeneratedBlob(1, 10 * MIB)
    cuts = [blob.size // 10, blob.size // 2, blob.size * 99 // 100]
    turns = [Turn(cut_after=stop - start) for start, stop in zip([0, *cuts], cuts, strict=False)]
    source = ScriptedSource(blob, *turns)

    assert await pull(cache, blob, source) == content_of(blob)

    assert source.asked == [0, *cuts]
    assert cache.measures.upstream_bytes == blob.size
    assert cache.measures.resumes == 3
    await settled(cache)
    assert stored(root) == {str(blob.digest)}


async def test_a_body_that_ends_early_is_a_break(cache: BlobCache) -> None:
    """A chunked answer may end without an error, and still not be all."""
    blob = GeneratedBlob(2, MIB)
    source = ScriptedSource(blob, Turn(end_after=1000, size=None))

    assert await pull(cache, blob, source) == content_of(blob)

    assert source.asked == [0, 1000]


async def test_a_blob_that_always_ends_early_is_refused(cache: BlobCache) -> None:
    """An upstream whose blob is shorter than the manifest says is given up, with both numbers."""
    short = GeneratedBlob(3, MIB)
    source = ScriptedSource(short, *[Turn(size=None)] * 20)

    _, failure = await failed_pull(cache, GeneratedBlob(4, MIB).digest, MIB + 7, source)

    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.SIZE
    assert str(MIB) in str(failure)
    assert str(MIB + 7) in str(failure)
    assert len(source.asked) <= Patience().attempts + 1


async def test_a_registry_without_ranges_starts_again(cache: BlobCache) -> None:
    """An answer from byte 0 is skipped to where the spool ends, also when it breaks in what is skipped."""
    blob = GeneratedBlob(5, MIB)
    source = ScriptedSource(
        blob, Turn(cut_after=500_000), Turn(offset=0, cut_after=400_000), Turn(offset=0, cut_after=700_001)
    )

    assert await pull(cache, blob, source) == content_of(blob)

    assert source.asked == [0, 500_000, 500_000, 700_001]


async def test_an_answer_from_further_on_is_refused(cache: BlobCache) -> None:
    """A hole in the blob cannot be filled by guessing."""
    blob = GeneratedBlob(6, MIB)
    source = ScriptedSource(blob, Turn(cut_after=1000), Turn(offset=1001))

    _, failure = await failed_pull(cache, blob.digest, blob.size, source)

    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.RANGE


async def test_a_blob_that_changed_its_size_is_refused(cache: BlobCache) -> None:
    """The answer to the second request states another total: this is not the same blob any more."""
    blob = GeneratedBlob(7, MIB)
    source = ScriptedSource(blob, Turn(cut_after=1000), Turn(size=MIB + 1))

    _, failure = await failed_pull(cache, blob.digest, blob.size, source)

    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.SIZE


async def test_a_rest_that_does_not_fit_is_found_by_the_digest(cache: BlobCache, root: Path) -> None:
    """The second answer carries another blob's bytes: the hash goes over both, and is wrong."""
    blob = GeneratedBlob(8, MIB)
    source = ScriptedSource(blob, Turn(cut_after=1000), Turn(blob=GeneratedBlob(9, MIB)))

    _, failure = await failed_pull(cache, blob.digest, blob.size, source)

    assert isinstance(failure, BlobFailed)
    assert failure.fault is Fault.DIGEST
    await settled(cache)
    assert stored(root) == set()
    assert spools(root) == []


async def test_an_upstream_that_is_down_is_given_up_soon(make_cache: Callable[..., Any]) -> None:
    """Before the first byte: a few requests with growing pauses, then its own error."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    cache = await make_cache(patience=Patience(sleep=sleep, chance=lambda: 1.0))
    blob = GeneratedBlob(10, MIB)
    source = ScriptedSource(blob, *[Turn(refused=BROKEN)] * 10)

    _, failure = await failed_pull(cache, blob.digest, blob.size, source)

    assert failure is BROKEN
    assert source.asked == [0, 0, 0]
    assert pauses == [0.2, 0.4]


async def test_progress_earns_new_patience(make_cache: Callable[..., Any]) -> None:
    """A line that breaks every megabyte is borne while it brings something; one that does not, is not."""
    cache = await make_cache(patience=Patience(attempts=2, sleep=instantly))
    blob = GeneratedBlob(11, 10 * MIB)
    source = ScriptedSource(blob, *[Turn(cut_after=MIB)] * 9)
    assert await pull(cache, blob, source) == content_of(blob)
    assert len(source.asked) == 10

    other = GeneratedBlob(12, 10 * MIB)
    trickle = ScriptedSource(other, *[Turn(cut_after=1)] * 20)
    _, failure = await failed_pull(cache, other.digest, other.size, trickle)
    assert isinstance(failure, UpstreamUnavailable)
    assert trickle.asked == [0, 1]


@pytest.mark.parametrize("kind", [UpstreamDenied, UpstreamNotFound, UpstreamInvalid])
async def test_what_asking_again_cannot_mend_is_not_asked_again(cache: BlobCache, kind: type) -> None:
    """A refusal in mid-blob ends the fetch with that very refusal."""
    blob = GeneratedBlob(13, MIB)
    refusal = kind("registry.example", "registry.example says no.")
    source = ScriptedSource(blob, Turn(cut_after=1000), Turn(refused=refusal))

    _, failure = await failed_pull(cache, blob.digest, blob.size, source)

    assert failure is refusal
    assert source.asked == [0, 1000]


async def test_a_rate_limit_is_waited_for_only_in_mid_blob(make_cache: Callable[..., Any]) -> None:
    """Retry-After is kept to when clients are in the middle of a body, and told to them when they are not."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    cache = await make_cache(patience=Patience(sleep=sleep, chance=lambda: 0.0))
    blob = GeneratedBlob(14, MIB)
    limited = UpstreamRateLimited("registry.example", "registry.example asks to wait.", retry_after=20)

    source = ScriptedSource(blob, Turn(refused=limited))
    _, failure = await failed_pull(cache, blob.digest, blob.size, source)
    assert failure is limited
    assert pauses == []

    source = ScriptedSource(blob, Turn(cut_after=1000), Turn(refused=limited))
    assert await pull(cache, blob, source) == content_of(blob)
    assert pauses == [0.1, 20]


@settings(max_examples=40, deadline=None)
@given(
    size=st.integers(1, 700_000),
    cuts=st.lists(st.integers(0, 300_000), max_size=5),
    chunk=st.integers(1_000, 400_000),
    offset=st.sampled_from([None, 0]),
)
def test_however_it_breaks_every_byte_arrives(
    tmp_path_factory: pytest.TempPathFactory, size: int, cuts: list[int], chunk: int, offset: int | None
) -> None:
    """Any size, any chunks, any cuts, ranges or not: what is read and what is kept is the blob."""
    root = tmp_path_factory.mktemp("blobs")
    blob = GeneratedBlob(15, size)
    source = ScriptedSource(blob, *[Turn(cut_after=cut, chunk=chunk, offset=offset) for cut in cuts])

    async def pulled() -> bytes:
        patience = Patience(first_attempts=9, sleep=instantly)
        cache = BlobCache(FileStore(root), root / "spool", patience=patience)
        await cache.start()
        got = await pull(cache, blob, source)
        await settled(cache)
        await cache.stop()
        return got

    assert asyncio.run(pulled()) == content_of(blob)
    assert stored(root) == {str(blob.digest)}
