"""BlobCache: what is fetched ahead hurries once somebody waits for it, in whatever process."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from clients.oci.errors import UpstreamDenied
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import MIB, failed_pull, pull, settled

BLOB = GeneratedBlob(1, 4 * MIB)


@pytest.mark.parametrize("other_process", [False, True])
async def test_who_waits_is_heard_by_the_process_that_fetches(
    make_cache: Callable[..., Any], other_process: bool
) -> None:
    """A client's pull, and neither what another process fetches ahead nor a pull of another blob."""
    one, two = await make_cache(), await make_cache()
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate))
    with await one.open(BLOB.digest, BLOB.size, source, ahead=True) as reader:
        await reader.available(0)
        with await two.open(BLOB.digest, BLOB.size, source, ahead=True) as second:
            await second.available(0)
            other = GeneratedBlob(2, MIB)
            assert await pull(one, other, ScriptedSource(other)) == content_of(other)
            assert not one.hurries(BLOB.digest, BLOB.size)
            pulling = asyncio.create_task(pull(two if other_process else one, BLOB, source))
            async with asyncio.timeout(5):
                while not one.hurries(BLOB.digest, BLOB.size):  # noqa: ASYNC110 - a source asks as well
                    await asyncio.sleep(0.001)
            gate.set()
            assert await pulling == content_of(BLOB)
            await asyncio.gather(reader.complete(), second.complete())
    await settled(one)
    await settled(two)
    assert source.asked == [0]
    assert not one.hurries(BLOB.digest, BLOB.size)


async def test_a_long_refusal_reaches_other_processes(make_cache: Callable[..., Any]) -> None:
    """What the upstream says in words of three bytes each, and at length, is the same verdict for all."""
    one, two = await make_cache(), await make_cache()
    gate = asyncio.Event()
    denied = UpstreamDenied("registry.example", "\u9053" * 5000)
    source = ScriptedSource(BLOB, Turn(pause_after=MIB, gate=gate, cut_after=2 * MIB), Turn(refused=denied))
    pulls = [asyncio.create_task(failed_pull(cache, BLOB.digest, BLOB.size, source)) for cache in (one, two)]
    async with asyncio.timeout(5):
        while not two.measures.followers:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.001)
    gate.set()
    failures = [failure for _, failure in await asyncio.gather(*pulls)]
    assert [type(failure) for failure in failures] == [UpstreamDenied, UpstreamDenied]
    assert len(source.asked) == 2
