"""What every kind of lock holds to: Redis, and rows of SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.model.database import Database
from controlplane.sync.lease_rows import LeaseRows
from controlplane.sync.locks import Locks, LocksUnavailable
from controlplane.sync.redis_locks import RedisLocks
from tests.fakes.rows import open_database
from tests.fakes.waiting import until
from tests.servers.postgres import Postgres
from tests.servers.redis_server import RedisServer

LONG = timedelta(minutes=5)
SHORT = timedelta(milliseconds=50)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """Run a server for all tests here: locks of other names are no matter."""
    server = RedisServer()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(
    params=[
        pytest.param("redis", marks=pytest.mark.real),
        "sqlite",
        pytest.param("postgresql", marks=pytest.mark.real),
    ]
)
async def locks(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Locks]:
    """Give each kind of lock."""
    if request.param == "redis":
        in_redis = RedisLocks.at(request.getfixturevalue("redis").url)
        yield in_redis
        await in_redis.close()
    elif request.param == "sqlite":
        async with open_database(tmp_path) as database:
            yield LeaseRows(database)
    else:
        database = await Database.open(await request.getfixturevalue("postgres_copies").url())
        yield LeaseRows(database)
        await database.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test locks."""
    return f"lock of {request.node.name}"


async def test_one_holds_a_lock(locks: Locks, name: str) -> None:
    """A second one gets it when the first gave it back, with a higher fence."""
    first = await locks.acquire(name, "one", LONG, above=0)
    assert first is not None
    assert (first.name, first.token) == (name, "one")
    assert first.fence > 0
    assert await locks.acquire(name, "two", LONG, above=0) is None
    assert await locks.acquire(f"{name}, another", "two", LONG, above=0) is not None

    await locks.release(first)
    second = await locks.acquire(name, "two", LONG, above=0)
    assert second is not None
    assert second.fence > first.fence


async def test_of_many_at_once_one_gets_it(locks: Locks, name: str) -> None:
    """Fifty that ask at the same moment have one winner."""
    leases = await asyncio.gather(*(locks.acquire(name, f"{n}", LONG, above=0) for n in range(50)))
    assert sum(lease is not None for lease in leases) == 1


async def test_a_lock_that_is_not_renewed_expires(locks: Locks, name: str) -> None:
    """Whoever vanished keeps nobody waiting for ever; its fence is outranked, and it cannot renew."""
    late = await locks.acquire(name, "late", SHORT, above=0)
    assert late is not None
    found = []

    async def taken() -> bool:
        found.append(await locks.acquire(name, "next", LONG, above=0))
        return found[-1] is not None

    await until(taken)
    assert found[-1].fence > late.fence
    assert not await locks.renew(late, LONG)


async def test_a_renewed_lock_stays(locks: Locks, name: str) -> None:
    """Renewal gives the whole time again."""
    lease = await locks.acquire(name, "one", SHORT, above=0)
    assert lease is not None
    assert await locks.renew(lease, LONG)
    await asyncio.sleep(2 * SHORT.total_seconds())
    assert await locks.acquire(name, "two", LONG, above=0) is None


async def test_an_expired_lock_that_nobody_took_is_renewed(locks: Locks, name: str) -> None:
    """A pause alone costs nothing; what somebody else held meanwhile is lost, also when it is free again."""
    lease = await locks.acquire(name, "one", SHORT, above=0)
    assert lease is not None
    await asyncio.sleep(2 * SHORT.total_seconds())
    assert await locks.renew(lease, SHORT)
    await locks.release(lease)

    other = await locks.acquire(name, "three", LONG, above=0)
    assert other is not None
    await locks.release(other)
    assert not await locks.renew(lease, LONG)


async def test_only_the_holder_gives_it_back(locks: Locks, name: str) -> None:
    """A late release does not free what another holds."""
    late = await locks.acquire(name, "late", LONG, above=0)
    assert late is not None
    await locks.release(late)
    held = await locks.acquire(name, "next", LONG, above=0)
    assert held is not None

    await locks.release(late)

    assert await locks.acquire(name, "third", LONG, above=0) is None
    assert await locks.renew(held, LONG)


async def test_the_fence_is_above_what_the_caller_saw(locks: Locks, name: str) -> None:
    """A store that lost its memory begins above what the database remembers, and goes on from there."""
    first = await locks.acquire(name, "one", LONG, above=41)
    assert first is not None
    assert first.fence == 42
    await locks.release(first)
    second = await locks.acquire(name, "two", LONG, above=7)
    assert second is not None
    assert second.fence == 43


async def test_asking_again_with_the_same_token_renews(locks: Locks, name: str) -> None:
    """A repeated call, whose first answer got lost, is not refused by itself; the fence stays."""
    first = await locks.acquire(name, "one", LONG, above=0)
    assert await locks.acquire(name, "one", LONG, above=0) == first
    assert await locks.acquire(name, "two", LONG, above=0) is None


async def test_a_store_that_answers_passes_the_check(locks: Locks) -> None:
    """Nothing is said."""
    await locks.check()


@pytest.mark.real
async def test_redis_that_is_gone_is_told_of_and_comes_back() -> None:
    """Every call says so in one sentence, and the same object works again after a restart."""
    server = RedisServer()
    locks = RedisLocks.at(server.url)
    try:
        server.start()
        lease = await locks.acquire("a", "one", LONG, above=0)
        assert lease is not None
        server.stop()
        for call in (
            lambda: locks.check(),
            lambda: locks.acquire("b", "one", LONG, above=0),
            lambda: locks.renew(lease, LONG),
            lambda: locks.release(lease),
        ):
            with pytest.raises(LocksUnavailable, match="PENSTOCK_REDIS_URL"):
                await call()

        server.start()
        await locks.check()
        # Its memory is gone: whoever comes first has it, and the holder may be that one.
        assert await locks.renew(lease, LONG)
        assert await locks.acquire("a", "two", LONG, above=0) is None
    finally:
        await locks.close()
        server.remove()


@pytest.mark.real
async def test_redis_that_hangs_is_given_up_soon() -> None:
    """A server that accepts and says nothing counts as gone."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(silent, "127.0.0.1", 0)
    locks = RedisLocks.at(f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}/0")
    try:
        async with asyncio.timeout(30):
            with pytest.raises(LocksUnavailable):
                await locks.check()
    finally:
        await locks.close()
        listener.close()
        await listener.wait_closed()


@pytest.mark.real
async def test_a_database_that_is_gone_is_told_of() -> None:
    """Rows say it as Redis does."""
    server = Postgres()
    try:
        database = await Database.open(server.start().url)
        locks = LeaseRows(database)
        lease = await locks.acquire("a", "one", LONG, above=0)
        assert lease is not None
        server.stop()
        for call in (
            lambda: locks.acquire("b", "one", LONG, above=0),
            lambda: locks.renew(lease, LONG),
            lambda: locks.release(lease),
        ):
            with pytest.raises(LocksUnavailable):
                await call()
        await database.close()
    finally:
        server.remove()
