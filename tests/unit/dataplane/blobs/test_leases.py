"""Leases in Redis and in a bucket, and what a node does with them."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from clients.oci.digest import Digest
from clients.process.exits import ConfigurationError
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketClient
from dataplane.blobs.bucket_leases import BucketLeases
from dataplane.blobs.leases import Leases, LeasesNotOffered, LeasesUnavailable
from dataplane.blobs.measures import Measures
from dataplane.blobs.place import Place
from dataplane.blobs.redis_leases import RedisLeases
from dataplane.blobs.turns import Turns
from tests.fakes.faulty_bucket import FaultyBucket
from tests.fakes.waiting import until
from tests.servers.certificates import Authority
from tests.servers.leaks import open_now
from tests.servers.moto import Moto
from tests.servers.redis_server import RedisServer
from tests.unit.dataplane.blobs.buckets import put
from tests.unit.dataplane.blobs.lease_conformance import LASTS, ONE, REQUIREMENTS, MakeLeases


def steadily() -> int:
    """How many bytes have come of a slow fetch on which nothing is wrong."""
    return round(time.monotonic() * 5000)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis for all tests here."""
    server = RedisServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
async def client(proxy: FaultyBucket, moto: Moto, aws: None) -> AsyncIterator[BucketClient]:
    """An empty bucket."""
    async with BucketClient(Place(moto.new_bucket(), "prefix", proxy.url)) as client:
        yield client


@pytest.fixture
async def in_redis(redis: RedisServer, client: BucketClient) -> AsyncIterator[MakeLeases]:
    """Makes leases in Redis."""
    async with AsyncExitStack() as stack:

        def make(owner: str) -> Leases:
            leases = RedisLeases.at(redis.url, client.place, owner, LASTS)
            stack.push_async_callback(leases.close)
            return leases

        yield make


@pytest.fixture
def in_bucket(client: BucketClient) -> MakeLeases:
    """Makes leases in the bucket."""
    return lambda owner: BucketLeases(client, owner, LASTS)


@pytest.mark.real
@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.__name__)
async def test_redis(in_redis: MakeLeases, requirement: Callable[[MakeLeases], Awaitable[None]]) -> None:
    """What all that keeps leases must do."""
    await requirement(in_redis)


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.__name__)
async def test_bucket(in_bucket: MakeLeases, requirement: Callable[[MakeLeases], Awaitable[None]]) -> None:
    """What all that keeps leases must do."""
    await requirement(in_bucket)


@pytest.mark.real
async def test_a_redis_that_is_gone_says_so(redis: RedisServer, client: BucketClient) -> None:
    """In a sentence that names the setting, and soon; it works again by itself."""
    leases = RedisLeases.at(redis.url, client.place, "node")
    assert await leases.take(ONE)
    redis.stop()
    with pytest.raises(LeasesUnavailable, match="PENSTOCK_REDIS_URL"):
        await leases.take(ONE)
    redis.start()
    assert await leases.take(ONE)
    await leases.close()


async def test_a_fetch_that_is_cancelled_as_redis_answers_ends() -> None:
    """The client of Redis swallows a cancellation then; a stopping node would fetch all of a blob."""
    sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    class Swallowing(Redis):
        def register_script(self, script: object) -> Any:
            async def run(**_: object) -> int:
                await asyncio.wait_for(sent, 60)
                return 1

            return run

    leases = RedisLeases(Swallowing(), Place("bucket"), "node")
    taking = asyncio.create_task(leases.take(ONE))
    await asyncio.sleep(0)
    sent.set_result(None)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking


def test_a_wrong_url_is_refused() -> None:
    """Without repeating it, for it may hold a password."""
    with pytest.raises(ConfigurationError) as caught:
        RedisLeases.at("localhost:6379/secret", Place("bucket"), "node")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("how", ["unconditional", "501"])
async def test_a_server_without_conditions_has_no_leases(
    client: BucketClient, proxy: FaultyBucket, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Everybody would get them: nobody does, it is said once, and every node fetches for itself."""
    proxy.fault = how
    with pytest.raises(LeasesNotOffered):
        await BucketLeases(client, "node").take(ONE)
    assert not client.pauses

    turns = Turns(BucketLeases(client, "node"), Bucket(client), Measures(), 10)
    for _ in range(3):
        assert await turns.come(ONE, steadily) is False
        turns.over(ONE)
    await turns.stop()
    (said,) = caplog.records
    assert "waits for no other from now on" in said.message


async def test_a_lease_is_not_lost_to_a_request_in_the_way(
    client: BucketClient, proxy: FaultyBucket, in_bucket: MakeLeases
) -> None:
    """Amazon refuses one of two that write at once, and it need not be the other one."""
    node = in_bucket("node")
    assert await node.take(ONE)
    proxy.fault = "409"
    assert await node.take(ONE)
    assert proxy.fault == ""


async def test_a_lease_that_was_removed_by_hand_is_taken_again(
    client: BucketClient, in_bucket: MakeLeases
) -> None:
    """Or by a rule of the bucket: its holder goes on, as long as nobody else has it."""
    node, other = in_bucket("node"), in_bucket("other")
    assert await node.take(ONE)
    page = await client.ask("list_objects_v2", Prefix=client.key("leases/"))
    for entry in page["Contents"]:
        await client.ask("delete_object", Key=entry["Key"])
    assert await node.take(ONE)
    assert not await other.take(ONE)


async def test_a_turn_that_ends_while_its_lease_is_taken_again_is_given_back(
    client: BucketClient, in_bucket: MakeLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others do not wait for the lease to end: what the server did of the request is not known otherwise."""
    turns = Turns(leases := in_bucket("node"), Bucket(client), Measures(), 30, lasts=0.3)
    assert not await turns.come(ONE, steadily)
    ask, again, sent = client.ask, asyncio.Event(), asyncio.Event()

    async def slow(operation: str, **parameters: object) -> object:
        answer = await ask(operation, **parameters)
        if operation == "put_object" and not again.is_set():
            sent.set()
            await again.wait()
        return answer

    monkeypatch.setattr(client, "ask", slow)
    await sent.wait()
    turns.over(ONE)
    await asyncio.sleep(0)
    again.set()
    await turns.stop()
    assert await BucketLeases(client, "other", lasts=60).take(ONE)
    await leases.release(ONE)


async def test_others_wait_for_what_one_fetches(client: BucketClient, in_bucket: MakeLeases) -> None:
    """Until it is in the bucket; nobody asks the upstream but the first."""
    bucket, measures = Bucket(client), Measures()
    first, second = (Turns(in_bucket(owner), bucket, measures, 30, lasts=LASTS) for owner in "ab")
    content = b"one"
    assert await first.come(ONE, steadily) is False
    waiting = asyncio.create_task(second.come(ONE, steadily))
    await asyncio.sleep(2.5 * LASTS)
    assert not waiting.done(), "the lease is held for longer than it lasts"
    assert await put(bucket, ONE[0], content)
    assert await waiting is True
    assert measures.bucket_waits == 1
    first.over(ONE)
    await first.stop()
    await second.stop()


async def test_others_go_on_when_one_gives_up(client: BucketClient, in_bucket: MakeLeases) -> None:
    """It is the next one's turn at once."""
    bucket = Bucket(client)
    first, second = (Turns(in_bucket(owner), bucket, Measures(), 30) for owner in "ab")
    assert await first.come(ONE, steadily) is False
    waiting = asyncio.create_task(second.come(ONE, steadily))
    await asyncio.sleep(0.2)
    first.over(ONE)
    assert await waiting is False
    second.over(ONE)
    await first.stop()
    await second.stop()
    leases = in_bucket("c")
    assert await leases.take(ONE), "all is given back"


@pytest.mark.parametrize("rate", [0, 500])
async def test_nobody_waits_for_a_fetch_that_stands_still(
    client: BucketClient, in_bucket: MakeLeases, rate: int
) -> None:
    """Its turn ends by itself, for one of the others; the third waits for the second."""
    bucket, measures = Bucket(client), Measures()
    first, second, third = (Turns(in_bucket(owner), bucket, measures, 60, lasts=LASTS) for owner in "abc")
    assert not await first.come(ONE, lambda: round(time.monotonic() * rate))
    waiting = [asyncio.create_task(turns.come(ONE, steadily)) for turns in (second, third)]
    ended, _ = await asyncio.wait(waiting, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    assert [each.result() for each in ended] == [False]
    assert measures.bucket_waits_ended == 0
    first.over(ONE)
    await first.stop()
    assert await put(bucket, ONE[0], b"one")
    assert sorted(await asyncio.gather(*waiting)) == [False, True]
    await second.stop()
    await third.stop()


async def test_nobody_waits_for_what_would_take_longer_than_they_wait(
    client: BucketClient, in_bucket: MakeLeases
) -> None:
    """A fetch that drips is the next one's turn, and the first one's again once it is about to end."""
    bucket, measures = Bucket(client), Measures()
    first, second = (Turns(in_bucket(owner), bucket, measures, 30, lasts=LASTS) for owner in "ab")
    key, left, begun = (Digest.of(b"large"), 1 << 40, "owner"), 1 << 30, steadily()
    assert not await first.come(key, lambda: key[1] - left + steadily() - begun)
    assert not await second.come(key, lambda: None)
    assert (measures.bucket_waits, measures.bucket_waits_ended) == (1, 0)
    second.over(key)
    await second.stop()
    left = 100_000 + steadily() - begun
    other = BucketLeases(client, "c", lasts=60)
    async with asyncio.timeout(30):
        while await other.take(key):
            await other.release(key)
            await asyncio.sleep(0.5 * LASTS)
    first.over(key)
    await first.stop()


class Fetch:
    """One of a node, which somebody there waits for or not."""

    def __init__(self, *, joined: bool) -> None:
        self.joined = joined

    def join(self) -> None:
        self.joined = True


@pytest.mark.parametrize("waits", [True, False], ids=["a client", "nobody"])
async def test_a_node_hears_that_a_client_of_another_one_waits(
    client: BucketClient, in_bucket: MakeLeases, *, waits: bool
) -> None:
    """For what it fetches ahead, that is; those who fetch ahead themselves do not wait like clients."""
    bucket, ahead = Bucket(client), Fetch(joined=False)
    first, second, third = (Turns(in_bucket(owner), bucket, Measures(), 60, lasts=LASTS) for owner in "abc")
    assert not await first.come(ONE, steadily, ahead)
    others = [
        asyncio.create_task(turns.come(ONE, steadily, Fetch(joined=waits))) for turns in (second, third)
    ]
    if waits:
        async with asyncio.timeout(30):
            while not ahead.joined:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)
    else:
        await asyncio.sleep(3 * LASTS)
        assert not ahead.joined
    assert await put(bucket, ONE[0], b"one")
    assert await asyncio.gather(*others) == [True, True]
    first.over(ONE)
    for turns in (first, second, third):
        await turns.stop()
    left = await client.ask("list_objects_v2", Prefix=client.key("leases/"))
    assert left.get("Contents", []) == []


async def test_what_has_all_come_stands_still_as_long_as_it_takes(
    client: BucketClient, in_bucket: MakeLeases
) -> None:
    """To make the disk keep it may take longer than a fetch may pause."""
    first = Turns(in_bucket("a"), Bucket(client), Measures(), 60, lasts=LASTS)
    assert not await first.come(ONE, lambda: None)
    await asyncio.sleep(1.5 * LASTS)
    assert not await in_bucket("b").take(ONE)
    await first.stop()


async def test_nobody_waits_for_ever(client: BucketClient, in_bucket: MakeLeases) -> None:
    """Who has waited as long as they may help themselves, without a lease to give back."""
    measures = Measures()
    holder = in_bucket("holder")
    assert await holder.take(ONE)
    turns = Turns(in_bucket("node"), Bucket(client), measures, 0.3)
    assert await turns.come(ONE, steadily) is False
    turns.over(ONE)
    await turns.stop()
    assert (measures.bucket_waits, measures.bucket_waits_ended) == (1, 1)
    assert not await in_bucket("another").take(ONE)


async def test_what_was_put_meanwhile_is_not_fetched(client: BucketClient, in_bucket: MakeLeases) -> None:
    """The last holder put it there between a look and the lease; the lease is given back."""
    bucket = Bucket(client)
    assert await put(bucket, ONE[0], b"one")
    turns = Turns(in_bucket("node"), bucket, Measures(), 1)
    assert await turns.come(ONE, steadily) is True
    await turns.stop()
    assert await in_bucket("other").take(ONE)


async def test_two_fetches_of_one_node_have_one_turn(client: BucketClient, in_bucket: MakeLeases) -> None:
    """One may follow upon another at once: when the turn is over, nothing goes on renewing it."""
    first, second = (Turns(in_bucket(owner), Bucket(client), Measures(), 30, lasts=0.3) for owner in "ab")
    key = (Digest.of(b"asked for by two"), 1, "owner")
    assert await asyncio.gather(first.come(key, steadily), first.come(key, steadily)) == [False, False]
    first.over(key)
    _, running = await asyncio.wait(first._tasks, timeout=10)
    assert not running
    assert not await second.come(key, steadily)
    second.over(key)
    await first.stop()
    await second.stop()


@pytest.mark.real
async def test_a_redis_that_hangs_keeps_no_node_from_stopping(tmp_path: Path) -> None:
    """By TLS its connections are not closed in time then."""
    before = open_now()
    server = RedisServer(Authority().issue(tmp_path, "127.0.0.1")).start()

    async def closed() -> bool:
        return not open_now() - before

    try:
        leases = RedisLeases.at(server.url, Place("bucket", "prefix", "http://127.0.0.1:1"), "node", LASTS)
        assert await leases.take(ONE)
        server.process.signal(signal.SIGSTOP)
        await leases.close()
    finally:
        server.process.signal(signal.SIGCONT)
        server.remove()
    # Now they can be.
    await until(closed)
