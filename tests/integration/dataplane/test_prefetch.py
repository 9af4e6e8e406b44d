"""What a node fetches before anybody asks, and what it does not evict, as its artifacts' policies say."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.estate import FakeArtifact
from tests.fakes.images import Image, make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane.conftest import Setup, until

MIB = 1 << 20


def image_of(seed: int, architecture: str) -> Image:
    """An image whose layer is its own."""
    return make_image([GeneratedBlob(seed, MIB)], platform=("linux", architecture), seed=seed)


INDEX = make_index([image_of(1, "amd64"), image_of(2, "arm64")])
AMD64, ARM64 = INDEX.children


@pytest.fixture
async def setup(plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path) -> AsyncIterator[Setup]:
    """A node that has not been started."""
    setup = Setup(plane, fake, tmp_path / "data")
    yield setup
    await setup.close()


async def start(
    setup: Setup, cache: dict[str, list[str]], tag: str = "1.0", **settings: object
) -> FakeArtifact:
    """Start the node, with an artifact that has a cache policy and an index."""
    setup.node = setup.new_node(cache_min_free_bytes=0, **settings)
    await setup.start()
    artifact = await setup.artifact()
    artifact.cache = cache
    setup.upstream.add(INDEX, "up/acme/app", [tag])
    setup.plane.hold(artifact, INDEX, [tag])
    await setup.in_force()
    return artifact


def fetched(setup: Setup) -> set[str]:
    """Digests of the blobs that the upstream was asked for."""
    return {seen.reference for seen in setup.upstream.requests if seen.kind == "blobs"}


def blobs_of(*images: Image) -> set[str]:
    """Digests of images' blobs."""
    return {str(digest) for image in images for digest in image.blobs}


async def test_platforms_of_what_is_asked_for(setup: Setup) -> None:
    """A client asks for an index: the layers of that platform are there before it asks for them."""
    await start(setup, {"prefetch_platforms": ["linux/amd64"]})
    await setup.get("manifests/1.0")
    await until(lambda: fetched(setup) == blobs_of(AMD64))
    await until(lambda: setup.node._measures.prefetches == len(blobs_of(AMD64)))
    before = len(setup.upstream.requests)
    answer = await setup.get(f"blobs/{AMD64.layers[0].digest}")
    assert answer.body == content_of(AMD64.layers[0])
    assert len(setup.upstream.requests) == before


async def test_tags_after_a_sync(setup: Setup) -> None:
    """Nobody asks at all: what tags of the pattern reach is fetched, and again when the tag has moved."""
    artifact = await start(setup, {"prefetch_tags": ["1.*"]})
    await until(lambda: fetched(setup) == blobs_of(AMD64, ARM64))
    other, later = image_of(3, "amd64"), image_of(4, "amd64")
    for image, tag in ((other, "2.0"), (later, "1.1")):
        setup.upstream.add(image, "up/acme/app", [tag])
        setup.plane.hold(artifact, image, [tag])
    await until(lambda: fetched(setup) == blobs_of(AMD64, ARM64, later))
    assert await setup.metric("penstock_node_prefetches_total") >= 5


async def test_tags_that_are_wanted_again(setup: Setup) -> None:
    """A policy that was taken away is forgotten: given again, it counts before the next sync."""
    artifact = await start(setup, {"prefetch_tags": ["2.*"]})
    for cache in ({}, {"prefetch_tags": ["1.*"]}):
        await setup.in_force()
        artifact.cache = cache
        setup.plane.update(artifact)
    await until(lambda: fetched(setup) == blobs_of(AMD64, ARM64))


async def test_nothing_without_a_policy(setup: Setup) -> None:
    """It is off by default."""
    await start(setup, {})
    await setup.get("manifests/1.0")
    await asyncio.sleep(0.3)
    assert fetched(setup) == set()


async def test_no_room_is_made_for_it(setup: Setup) -> None:
    """A cache that is nearly full keeps what was asked for."""
    await start(setup, {"prefetch_platforms": ["linux/amd64"]}, cache_max_bytes=MIB + MIB // 64)
    await setup.get(f"blobs/{ARM64.layers[0].digest}")
    await until(lambda: setup.node._measures.cache_bytes >= MIB)
    await setup.get("manifests/1.0")
    await until(lambda: setup.node._measures.prefetches_skipped)
    assert str(AMD64.layers[0].digest) not in fetched(setup)
    assert setup.node._measures.evictions == 0


async def test_clients_come_first(setup: Setup) -> None:
    """While somebody's blob is being fetched nothing is fetched ahead; afterwards it goes on."""
    await start(setup, {"prefetch_platforms": ["linux/amd64"]})
    gate = asyncio.Event()
    wanted = str(ARM64.layers[0].digest)
    setup.upstream.faults.add("blobs", reference=wanted, pause_after=1000, gate=gate)
    pull = asyncio.create_task(setup.get(f"blobs/{wanted}"))
    await until(lambda: fetched(setup))
    await setup.get("manifests/1.0")
    await asyncio.sleep(0.3)
    assert fetched(setup) == {wanted}
    gate.set()
    assert (await pull).body == content_of(ARM64.layers[0])
    await until(lambda: fetched(setup) == blobs_of(AMD64) | {wanted})


async def test_each_blob_is_asked_for_once(setup: Setup) -> None:
    """Also a large one, of which there is nothing at first: nobody waits for its end."""
    large = make_image([GeneratedBlob(5, 20 * MIB)], platform=("linux", "amd64"), seed=5)
    artifact = await start(setup, {"prefetch_platforms": ["linux/amd64"]}, prefetch_rate=0)
    setup.upstream.add(large, "up/acme/app", ["2.0"])
    setup.plane.hold(artifact, large, ["2.0"])
    await setup.get("manifests/2.0")
    await until(lambda: setup.node._measures.prefetches == len(blobs_of(large)))
    await until(lambda: setup.node._measures.cache_blobs == len(blobs_of(large)))
    asked = [seen.reference for seen in setup.upstream.requests if seen.kind == "blobs"]
    assert sorted(asked) == sorted(blobs_of(large))


async def test_an_upstream_that_fails_is_left(setup: Setup) -> None:
    """What cannot be fetched ahead harms nobody, and is fetched when it is asked for."""
    setup.upstream.faults.add("blobs", status=404, times=2)
    await start(setup, {"prefetch_platforms": ["linux/amd64"]})
    await setup.get("manifests/1.0")
    await until(lambda: fetched(setup))
    setup.upstream.faults.clear()
    answer = await setup.get(f"blobs/{AMD64.layers[0].digest}")
    assert answer.body == content_of(AMD64.layers[0])


async def test_what_pinned_tags_reach_stays(setup: Setup) -> None:
    """Through an index, whatever else comes: other blobs go, although they were used later."""
    artifact = await start(setup, {"pin_tags": ["stable*"]}, tag="stable", cache_max_bytes=4 * MIB)
    await setup.get("manifests/stable")
    for child in INDEX.children:
        await setup.get(f"manifests/{child.digest}")
        await setup.get(f"blobs/{child.layers[0].digest}")
    others = [image_of(seed, "amd64") for seed in range(10, 16)]
    for number, image in enumerate(others):
        setup.upstream.add(image, "up/acme/app", [f"other-{number}"])
        setup.plane.hold(artifact, image, [f"other-{number}"])
        await setup.in_force()
        await setup.get(f"blobs/{image.layers[0].digest}")
        await until(lambda: not setup.node._measures.running_fills)
    await until(lambda: setup.node._measures.evictions >= 3)
    before = len(setup.upstream.requests)
    for child in INDEX.children:
        assert (await setup.get(f"blobs/{child.layers[0].digest}")).body == content_of(child.layers[0])
    assert len(setup.upstream.requests) == before
