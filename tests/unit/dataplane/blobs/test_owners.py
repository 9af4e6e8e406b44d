"""Owners: who has an upstream of their own may do what they like with it, to themselves."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamNotFound, UpstreamUnavailable
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_leases import BucketLeases
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed
from dataplane.blobs.files import FileStore
from dataplane.blobs.kept import Kept
from dataplane.blobs.measures import Measures
from dataplane.blobs.turns import Turns
from tests.fakes.blobs import Blob, GeneratedBlob, content_of
from tests.fakes.sources import ScriptedSource, Turn
from tests.unit.dataplane.blobs.reading import MIB, read, read_until_failure, settled, spools, stored

BLOB = GeneratedBlob(1, 3 * MIB)
WRONG = GeneratedBlob(2, 3 * MIB)
# Seconds after which something goes on for ever.
PATIENCE = 10


async def pull(cache: BlobCache, source: ScriptedSource, owner: str, blob: Blob = BLOB) -> bytes:
    """Pulls the blob for an owner."""
    with await cache.open(blob.digest, blob.size, source, owner=owner) as reader:
        return await read(reader)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same-process", "another-process"])
async def test_a_fetch_that_one_owner_holds_up_holds_up_nobody_else(
    make_cache: Callable[..., Any], root: Path, *, elsewhere: bool
) -> None:
    """An upstream that drips costs its own clients time; others fetch the blob from where they have it."""
    one = await make_cache()
    two = await make_cache() if elsewhere else one
    gate = asyncio.Event()
    slow = ScriptedSource(BLOB, Turn(pause_after=1000, gate=gate))
    held_up = await one.open(BLOB.digest, BLOB.size, slow, owner="slow")
    with held_up:
        while not slow.asked:  # noqa: ASYNC110 - a source tells nobody
            await asyncio.sleep(0)
        assert two.kept(BLOB.digest, BLOB.size) is Kept.FETCHING
        async with asyncio.timeout(PATIENCE):
            assert await pull(two, ScriptedSource(BLOB), "honest") == content_of(BLOB)
        gate.set()
        assert await read(held_up) == content_of(BLOB)
    await settled(one)
    await settled(two)
    assert stored(root) == {str(BLOB.digest)}
    assert spools(root) == []


async def test_wrong_bytes_of_one_owner_reach_nobody_else(cache: BlobCache) -> None:
    """However often an upstream begins anew to send other bytes as this blob."""
    gate = asyncio.Event()
    wrong = ScriptedSource(WRONG, Turn(pause_after=2 * MIB, gate=gate))
    reader = await cache.open(BLOB.digest, BLOB.size, wrong, owner="wrong")
    with reader:
        await reader.available(0)
        assert await pull(cache, ScriptedSource(BLOB), "honest") == content_of(BLOB)
        gate.set()
        _, failure = await read_until_failure(reader)
    assert isinstance(failure, BlobFailed)


async def test_what_one_upstream_says_is_not_told_to_clients_of_another(cache: BlobCache) -> None:
    """Nor does it fail them: its name and its refusals are its owner's."""
    refused = UpstreamUnavailable("secret.example", "secret.example answered 503.")
    gate = asyncio.Event()
    failing = ScriptedSource(BLOB, Turn(pause_after=0, gate=gate), *[Turn(refused=refused)] * 9)
    theirs = await cache.open(BLOB.digest, BLOB.size, failing, owner="theirs")
    mine = asyncio.create_task(pull(cache, ScriptedSource(BLOB), "mine"))
    with theirs:
        gate.set()
        assert await mine == content_of(BLOB)


async def test_what_is_verified_is_everybodys(cache: BlobCache) -> None:
    """Once the digest was right it does not matter whose upstream it came from."""
    assert await pull(cache, ScriptedSource(BLOB), "one") == content_of(BLOB)
    await settled(cache)
    nowhere = ScriptedSource(BLOB)
    assert await pull(cache, nowhere, "two") == content_of(BLOB)
    assert nowhere.asked == []


async def test_one_owner_makes_one_request(make_cache: Callable[..., Any]) -> None:
    """In however many processes."""
    caches = [await make_cache(), await make_cache()]
    gate = asyncio.Event()
    source = ScriptedSource(BLOB, Turn(pause_after=1000, gate=gate))
    pulls = [asyncio.create_task(pull(cache, source, "one")) for cache in caches for _ in range(4)]
    while sum(cache.measures.followers + cache.measures.misses for cache in caches) < len(pulls):  # noqa: ASYNC110 - counters tell nobody
        await asyncio.sleep(0.001)
    gate.set()
    assert all(content == content_of(BLOB) for content in await asyncio.gather(*pulls))
    assert source.asked == [0]


async def test_other_nodes_wait_for_their_own_owner_alone(
    make_node: Callable[..., Any], bucket: Bucket
) -> None:
    """As on one node: an upstream that drips costs other organizations nothing behind the same bucket."""
    measures = Measures()
    one, two, three = [
        await make_node(
            name, turns=Turns(BucketLeases(bucket.client, name), bucket, measures, PATIENCE, lasts=60)
        )
        for name in ("one", "two", "three")
    ]
    gate = asyncio.Event()
    slow = ScriptedSource(BLOB, Turn(pause_after=1000, gate=gate))
    with await one.open(BLOB.digest, BLOB.size, slow, owner="slow") as held_up:
        while not slow.asked:  # noqa: ASYNC110 - a source tells nobody
            await asyncio.sleep(0.01)
        # On the same node, one that fails ends no turn but its own.
        with await one.open(BLOB.digest, BLOB.size, gone(), owner="gone") as reader:
            await read_until_failure(reader)
        waiting = asyncio.create_task(pull(three, gone(), "slow"))
        while not (measures.bucket_waits or waiting.done()):  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
        assert await pull(two, ScriptedSource(BLOB), "honest") == content_of(BLOB)
        assert measures.bucket_waits_ended == 0
        # What is verified is everybody's.
        assert await waiting == content_of(BLOB)
        assert measures.bucket_waits == 1
        gate.set()
        assert await read(held_up) == content_of(BLOB)
    for node in (one, two, three):
        await settled(node)
        await node.uploaded()


async def test_what_two_owners_store_together_counts_once(make_cache: Callable[..., Any], root: Path) -> None:
    """Both saw nothing stored before; one has replaced what the other stored."""
    ready = asyncio.Barrier(2)

    class Together(FileStore):
        """Stores two blobs at a time."""

        async def commit(self, digest: Digest, spool: Path) -> int | None:
            await ready.wait()
            return await super().commit(digest, spool)

    cache = await make_cache(store=Together(root))
    for body in await asyncio.gather(*(pull(cache, ScriptedSource(BLOB), owner) for owner in "ab")):
        assert body == content_of(BLOB)
    await settled(cache)
    assert (cache.measures.cache_blobs, cache.measures.cache_bytes) == (1, BLOB.size)


def gone() -> ScriptedSource:
    """An upstream that has nothing."""
    return ScriptedSource(BLOB, Turn(refused=UpstreamNotFound("registry.example", "It is gone.")))
