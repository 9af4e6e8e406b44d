"""Ceph's object gateway as the S3 server: one that checks signatures, and is not made for tests."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from dataplane.blobs import bucket as bucket_module
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketClient, BucketFailed
from dataplane.blobs.bucket_leases import BucketLeases
from dataplane.blobs.place import Place
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.images import make_image
from tests.integration.dataplane.conftest import Setup, until
from tests.servers.ceph import ENVIRONMENT, Ceph
from tests.unit.dataplane.blobs import lease_conformance
from tests.unit.dataplane.blobs.buckets import KeptInBucket, held, put
from tests.unit.dataplane.blobs.conformance import REQUIREMENTS, Kept
from tests.unit.dataplane.blobs.lease_conformance import LASTS, MakeLeases

pytestmark = [pytest.mark.real, pytest.mark.slow]

MIB = 1 << 20
BUCKET = "blobs"

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """A gateway for all tests here."""
    server = Ceph(tmp_path_factory.mktemp("ceph"))
    try:
        server.start()
        server.make_bucket(BUCKET)
        yield server
    finally:
        server.stop()


@pytest.fixture
async def client(ceph: Ceph, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BucketClient]:
    """The one bucket, under a prefix of the test's own."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    async with BucketClient(Place(BUCKET, f"test-{next(_numbers)}", ceph.url)) as client:
        yield client


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.__name__)
async def test_blobs(client: BucketClient, requirement: Callable[[Kept], Awaitable[None]]) -> None:
    """What every place for blobs must do."""
    await requirement(KeptInBucket(Bucket(client)))


@pytest.mark.parametrize(
    "requirement", lease_conformance.REQUIREMENTS, ids=lambda requirement: requirement.__name__
)
async def test_leases(client: BucketClient, requirement: Callable[[MakeLeases], Awaitable[None]]) -> None:
    """What all that keeps leases must do; its conditions hold when many ask at once."""
    await requirement(lambda owner: BucketLeases(client, owner, LASTS))


async def test_large_blobs_go_up_in_parts(client: BucketClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three parts make one object, and ranges of it are exact."""
    monkeypatch.setattr(bucket_module, "_PART", 5 * MIB)
    bucket, blob = Bucket(client), GeneratedBlob(2, 11 * MIB + 1)
    content = content_of(blob)
    assert await put(bucket, blob.digest, content) is True
    assert await put(bucket, blob.digest, content) is False
    assert await held(bucket, blob.digest) == content
    async with bucket.open(blob.digest, 5 * MIB - 1, 5 * MIB + 1) as stream:
        assert stream is not None
        assert b"".join([chunk async for chunk in stream.chunks()]) == content[5 * MIB - 1 : 5 * MIB + 1]


async def test_a_wrong_secret_is_refused(client: BucketClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server does check signatures: what passes the tests here is signed right."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another secret")
    async with BucketClient(client.place) as stranger:
        with pytest.raises(BucketFailed, match="SignatureDoesNotMatch"):
            await stranger.ask("put_object", Key="key", Body=b"")


async def test_a_whole_node(setup: Setup, client: BucketClient, tmp_path: Path) -> None:
    """A blob goes up, is redirected to by URLs that cannot be altered, and fills another node's disk."""
    image = make_image([12 * MIB])
    (blob,) = image.layers
    content = content_of(blob)
    await setup.artifact(image)
    where = {"blob_store": f"s3://{BUCKET}/{client.place.prefix}", "s3_endpoint": client.place.endpoint}
    await setup.restart(**where, s3_redirect="always")
    await setup.in_force()
    path = f"blobs/{blob.digest}"
    assert (await setup.get(path)).body == content
    cache = setup.node._cache
    assert cache is not None
    await until(lambda: not cache._fills._running)
    await cache.uploaded()

    answer = await setup.get(path)
    assert answer.status == 307
    url = answer.headers["Location"]
    altered = url.replace("X-Amz-Expires=300", "X-Amz-Expires=301")
    other = url.replace(blob.digest.encoded, next(iter(image.blobs)).encoded)
    for target, headers, status, body in (
        (url, {}, 200, content),
        (url, {"Range": "bytes=7-11"}, 206, content[7:12]),
        (altered, {}, 403, None),
        (other, {}, 403, None),
        (url.partition("?")[0], {}, 403, None),
    ):
        async with setup.client.get(target, headers=headers) as got:
            assert got.status == status
            assert body in (None, await got.read())

    setup.upstream.requests.clear()
    await setup.restart(**where, data_dir=tmp_path / "another")
    await setup.in_force()
    async with asyncio.timeout(60):
        assert (await setup.get(path)).body == content
    assert setup.upstream.count(kind="blobs") == 0
    assert await setup.metric("penstock_node_bucket_hits_total") == 1
