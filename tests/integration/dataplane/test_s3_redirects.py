"""Clients are sent to S3 for blobs that are there, once it is decided that they may have them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from dataplane.blobs import bucket_client
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketClient
from dataplane.blobs.place import Place
from dataplane.blobs.sightings import Sightings
from dataplane.http import redirects
from tests.fakes.blobs import content_of
from tests.fakes.faulty_bucket import FaultyBucket
from tests.fakes.images import Image, make_image
from tests.integration.dataplane.conftest import Setup, until
from tests.servers.moto import Moto

SMALL, LARGE = 1000, 700_000


@pytest.fixture
async def s3(moto: Moto, aws: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultyBucket]:
    """The way to S3, which may take its time: this machine may be busy."""
    monkeypatch.setattr(redirects, "_PATIENCE", 30.0)
    monkeypatch.setattr(bucket_client, "_ANSWER", 30.0)
    async with FaultyBucket(moto.url) as proxy:
        yield proxy


@pytest.fixture
async def bucket(moto: Moto) -> str:
    """The name of an empty bucket."""
    return moto.new_bucket()


class Redirecting:
    """A node with a bucket that its blobs are in, and where a client is sent."""

    def __init__(self, setup: Setup, s3: FaultyBucket, image: Image, bucket: str) -> None:
        self.setup = setup
        self.s3 = s3
        self.bucket = bucket
        self.small, self.large = sorted(image.blobs, key=lambda digest: image.blobs[digest].size)[-2:]
        self.content = {digest: content_of(blob) for digest, blob in image.blobs.items()}

    async def node(self, **settings: Any) -> None:
        """Another node on the same disk, with blobs in the bucket."""
        await self.setup.restart(blob_store=f"s3://{self.bucket}/cache", s3_endpoint=self.s3.url, **settings)
        await self.setup.in_force()

    def sightings(self) -> Sightings:
        """What the node saw in the bucket."""
        cache = self.setup.node._cache
        assert cache is not None
        assert cache._tier._bucket is not None
        return cache._tier._bucket.sightings

    async def fill(self) -> None:
        """Have all blobs in the bucket."""
        for digest in self.content:
            assert (await self.setup.get(f"blobs/{digest}")).status == 200
        cache = self.setup.node._cache
        assert cache is not None
        await until(lambda: not cache._fills._running)
        await cache.uploaded()

    async def fetch(self, url: str, **headers: str) -> tuple[int, bytes]:
        """What a client gets that follows, without its token."""
        async with self.setup.client.get(url, headers=headers) as answer:
            return answer.status, await answer.read()


@pytest.fixture
async def redirecting(setup: Setup, s3: FaultyBucket, bucket: str) -> Redirecting:
    """Filled, and not redirecting yet."""
    image = make_image([SMALL, LARGE])
    await setup.artifact(image)
    scene = Redirecting(setup, s3, image, bucket)
    await scene.node()
    await scene.fill()
    return scene


async def test_a_client_is_sent_to_where_the_blob_is(redirecting: Redirecting) -> None:
    """The URL works without the token, whole and in parts, for five minutes; nothing is sent from here."""
    await redirecting.node(s3_redirect="always")
    digest, content = redirecting.large, redirecting.content[redirecting.large]
    for headers, status, body in (
        ({}, 200, content),
        ({"Range": "bytes=5-9"}, 206, content[5:10]),
        ({"Range": "bytes=-7"}, 206, content[-7:]),
    ):
        answer = await redirecting.setup.get(f"blobs/{digest}", **headers)
        assert (answer.status, answer.body) == (307, b"")
        assert answer.headers["Docker-Content-Digest"] == str(digest)
        location = answer.headers["Location"]
        key = f"{redirecting.bucket}/cache/blobs/sha256/{digest.encoded}"
        assert location.startswith(f"{redirecting.s3.url}/{key}?")
        assert "X-Amz-Algorithm=AWS4-HMAC-SHA256&" in location
        assert "X-Amz-Expires=300&" in location
        assert await redirecting.fetch(location, **headers) == (status, body)
    assert await redirecting.setup.metric("penstock_node_redirects_total") == 3
    assert await redirecting.setup.metric("penstock_node_redirected_bytes_total") == len(content) + 5 + 7
    assert await redirecting.setup.metric("penstock_node_sent_bytes_total") == 0


async def test_a_pull_tells_what_its_client_was_sent_elsewhere_for(redirecting: Redirecting) -> None:
    """The size of the blob, or the length of the range; HEAD is none, and nothing of it counts as sent."""
    await redirecting.node(s3_redirect="64KiB", pull_window=timedelta(seconds=2))
    setup, before = redirecting.setup, len(redirecting.setup.plane.pulls)
    for path in ("manifests/1.0", f"blobs/{redirecting.small}"):
        assert (await setup.get(path, User_Agent="docker/20")).status == 200
    await setup.head(f"blobs/{redirecting.large}", User_Agent="docker/20")
    for headers in ({"Range": "bytes=100-"}, {}):
        answer = await setup.get(f"blobs/{redirecting.large}", User_Agent="docker/20", **headers)
        assert answer.status == 307
    await until(lambda: len(setup.plane.pulls) > before)
    *_, event = setup.plane.pulls.values()
    manifest = await setup.get("manifests/1.0")
    small, large = (len(redirecting.content[digest]) for digest in (redirecting.small, redirecting.large))
    assert event.bytes_redirected == large + large - 100
    assert event.bytes_sent == small + len(manifest.body)
    assert (event.warm_blobs, event.cold_blobs, event.completed) == (2, 0, True)


async def test_what_is_answered_here_all_the_same(redirecting: Redirecting) -> None:
    """HEAD, what the client has, what no S3 server understands as registries do, and refusals."""
    await redirecting.node(s3_redirect="always")
    setup, digest = redirecting.setup, redirecting.large
    content = redirecting.content[digest]

    head = await setup.head(f"blobs/{digest}")
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(content)))
    assert (await setup.get(f"blobs/{digest}", If_None_Match=f'"{digest}"')).status == 304
    assert (await setup.get(f"blobs/{digest}", Range=f"bytes={len(content)}-")).status == 416
    partial = await setup.get(f"blobs/{digest}", Range="bytes=0-4", If_Range=f'"{digest}"')
    assert (partial.status, partial.body) == (206, content[:5])
    assert (await setup.get(f"blobs/{digest}", Range="bytes=0-4,9-12")).status in (200, 206)
    assert await setup.metric("penstock_node_redirects_total") == 0


async def test_nobody_is_redirected_who_may_not_have_the_blob(redirecting: Redirecting) -> None:
    """Without a token, with another's, and for what the artifact does not reach: not even S3 is asked."""
    await redirecting.node(s3_redirect="always")
    setup, digest = redirecting.setup, redirecting.large
    other = setup.plane.add_token(setup.plane.add_organization("globex"))
    await setup.artifact(repository="acme/other")
    redirecting.s3.asked.clear()

    assert (await setup.get(f"blobs/{digest}", Authorization="Bearer wrong")).status == 401
    assert (await setup.get(f"blobs/{digest}", Authorization=f"Bearer {other}")).status == 404
    assert (await setup.request("GET", f"/v2/acme/other/blobs/{digest}")).status == 404
    assert redirecting.s3.asked == []


async def test_small_blobs_and_near_clients_are_served_here(redirecting: Redirecting) -> None:
    """A size, and the networks of clients for whom S3 is no nearer, or not reachable at all."""
    setup = redirecting.setup
    await redirecting.node(s3_redirect="64KiB")
    assert (await setup.get(f"blobs/{redirecting.small}")).status == 200
    assert (await setup.get(f"blobs/{redirecting.large}")).status == 307

    await redirecting.node(s3_redirect="always", s3_redirect_except="192.0.2.0/24,127.0.0.0/8")
    for _ in range(2):
        answer = await setup.get(f"blobs/{redirecting.large}")
        assert (answer.status, answer.body) == (200, redirecting.content[redirecting.large])


async def test_clients_are_given_the_address_that_they_know(redirecting: Redirecting) -> None:
    """The public endpoint is what is signed for; the node goes on by its own."""
    await redirecting.node(s3_redirect="always", s3_public_endpoint="https://s3.example.com")
    answer = await redirecting.setup.get(f"blobs/{redirecting.large}")
    assert answer.headers["Location"].startswith(
        f"https://s3.example.com/{redirecting.bucket}/cache/blobs/sha256/"
    )


@pytest.mark.parametrize("fault", ["503", "hang"])
async def test_a_bucket_that_fails_sends_nobody_away(
    redirecting: Redirecting, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node has the blob, and serves it."""
    await redirecting.node(s3_redirect="always")
    monkeypatch.setattr(redirects, "_PATIENCE", 0.5)
    redirecting.s3.fault = fault
    for _ in range(2):
        answer = await redirecting.setup.get(f"blobs/{redirecting.large}")
        assert (answer.status, answer.body) == (200, redirecting.content[redirecting.large])


async def test_what_is_not_in_the_bucket_yet_is_served_and_put_there(
    setup: Setup, s3: FaultyBucket, bucket: str
) -> None:
    """The first pull fetches it; later ones are redirected."""
    image = make_image([LARGE])
    await setup.artifact(image)
    scene = Redirecting(setup, s3, image, bucket)
    await scene.node(s3_redirect="always")
    await scene.fill()
    assert (await setup.get(f"blobs/{scene.large}")).status == 307


async def test_a_redirect_costs_no_look_into_the_bucket_each_time(redirecting: Redirecting) -> None:
    """What was seen a moment ago is there still: one look for any number of requests."""
    await redirecting.node(s3_redirect="always")
    redirecting.sightings()._clock = lambda: 1000.0
    redirecting.s3.asked.clear()
    for _ in range(10):
        assert (await redirecting.setup.get(f"blobs/{redirecting.large}")).status == 307
    assert [asked.partition(" ")[0] for asked in redirecting.s3.asked] == ["HEAD"]


async def test_a_client_that_comes_back_is_not_sent_again_to_what_is_gone(
    redirecting: Redirecting, aws: None, moto: Moto
) -> None:
    """S3 answers its first request, which nobody here can heal; before the next, it is looked for again."""
    await redirecting.node(s3_redirect="always")
    now = [1000.0]
    redirecting.sightings()._clock = lambda: now[0]
    assert (await redirecting.setup.get(f"blobs/{redirecting.large}")).status == 307
    async with BucketClient(Place(redirecting.bucket, "cache", moto.url)) as client:
        assert await Bucket(client).remove(redirecting.large)

    now[0] += 1
    answer = await redirecting.setup.get(f"blobs/{redirecting.large}")

    assert answer.status == 200
    assert answer.body == redirecting.content[redirecting.large]


async def test_nobody_is_sent_to_what_another_node_dropped(
    redirecting: Redirecting, aws: None, moto: Moto
) -> None:
    """Some seconds after it was seen, it is looked for again: the node sends the blob."""
    await redirecting.node(s3_redirect="always")
    now = [1000.0]
    redirecting.sightings()._clock = lambda: now[0]
    assert (await redirecting.setup.get(f"blobs/{redirecting.large}")).status == 307
    async with BucketClient(Place(redirecting.bucket, "cache", moto.url)) as client:
        assert await Bucket(client).remove(redirecting.large)

    now[0] += 6
    answer = await redirecting.setup.get(f"blobs/{redirecting.large}")

    assert answer.status == 200
    assert answer.body == redirecting.content[redirecting.large]
