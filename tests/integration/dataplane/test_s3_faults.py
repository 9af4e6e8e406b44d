"""S3 in trouble, seen through a whole node: right bytes or none, and all is well again by itself."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dataplane.blobs import bucket_client
from tests.fakes.blobs import Blob, content_of
from tests.fakes.faulty_bucket import FaultyBucket
from tests.fakes.images import make_image
from tests.integration.dataplane import rest
from tests.integration.dataplane.conftest import Setup, until
from tests.servers.moto import Moto

SMALL, LARGE = 100_000, 3 << 20


class Drill:
    """A node without anything on its disk, and a bucket that has everything, behind a way that may break."""

    def __init__(self, setup: Setup, s3: FaultyBucket, small: Blob, large: Blob) -> None:
        self.setup = setup
        self.s3 = s3
        self.small = small
        self.large = large

    async def pull(self, blob: Blob) -> bool:
        """Pull a blob; tells whether it came whole. Wrong bytes that came as right ones fail the test."""
        answer = await self.setup.get(f"blobs/{blob.digest}")
        if answer.status != 200 or answer.broken:
            return False
        assert answer.body == content_of(blob)
        return True

    async def quiet(self) -> None:
        """Wait until nothing is being fetched or put."""
        cache = self.setup.node._cache
        assert cache is not None
        await until(lambda: not cache._fills._running)
        await cache.uploaded()

    async def forget(self) -> None:
        """Empty the node's disk."""
        cache = self.setup.node._cache
        assert cache is not None
        await self.quiet()
        for blob in (self.small, self.large):
            await cache._store.remove(blob.digest)


@pytest.fixture
async def drill(
    setup: Setup, moto: Moto, aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Drill]:
    """All of it; what nodes wait for in vain takes half seconds here."""
    image = make_image([SMALL, LARGE])
    small, large = sorted(image.layers, key=lambda blob: blob.size)
    await setup.artifact(image)
    async with FaultyBucket(moto.url) as s3:
        where = {"blob_store": f"s3://{moto.new_bucket()}/cache", "s3_endpoint": s3.url}
        await setup.restart(**where)
        await setup.in_force()
        drill = Drill(setup, s3, small, large)
        for blob in (small, large):
            assert await drill.pull(blob)
        await drill.quiet()
        assert await setup.metric("penstock_node_bucket_uploads_total") == 2
        for name, seconds in (("_ANSWER", 0.5), ("_SILENCE", 0.5), ("_PAUSE", 0.5)):
            monkeypatch.setattr(bucket_client, name, seconds)
        await setup.restart(**where, data_dir=tmp_path / "another")
        await setup.in_force()
        tasks = rest.tasks()
        yield drill
        s3.fault = ""
        await setup.rest(tasks, tmp_path / "another")
        await setup.node.stop()


@pytest.mark.parametrize("fault", ["gone", "hang", "stall", "503", "cut"])
async def test_a_bucket_in_trouble_costs_no_pull(drill: Drill, fault: str) -> None:
    """Everything comes whole, from upstream; when S3 is back, it is used again."""
    setup = drill.setup
    if fault == "gone":
        await drill.s3.stop()
    else:
        drill.s3.fault = fault
    for blob in (drill.small, drill.large):
        async with asyncio.timeout(60):
            assert await drill.pull(blob)
    assert (await setup.request("GET", "/readyz", base=setup.node.node_address)).status == 200
    assert await setup.metric("penstock_node_bucket_failures_total") >= 1

    await drill.forget()
    if fault == "gone":
        await drill.s3.start()
    drill.s3.fault = ""
    setup.upstream.requests.clear()
    async with asyncio.timeout(60):
        while True:
            assert await drill.pull(drill.large)
            if not setup.upstream.count(kind="blobs"):
                break
            setup.upstream.requests.clear()
            await drill.forget()
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("fault", ["flip", "short"])
async def test_wrong_bytes_never_arrive_as_right_ones(drill: Drill, fault: str) -> None:
    """A small blob is fetched anew, unnoticed; a large one is cut short at most once, and is right then."""
    drill.s3.fault = fault
    # On a busy machine the bucket may be found too slow, and the upstream be asked at once.
    hits = await drill.setup.metric("penstock_node_bucket_hits_total")
    assert await drill.pull(drill.small)
    first = await drill.pull(drill.large)
    if fault == "flip" and await drill.setup.metric("penstock_node_bucket_hits_total") == hits + 2:
        assert not first, "its end was held back"
    await drill.quiet()
    drill.s3.fault = ""
    assert await drill.pull(drill.large)
    assert await drill.pull(drill.small)
    await drill.quiet()
    assert await drill.setup.metric("penstock_node_troubled") == 0
