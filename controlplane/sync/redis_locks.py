"""Locks in Redis, for replicas that share one."""

from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, Self, cast

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from controlplane.sync import redis_client
from controlplane.sync.locks import Lease, LocksUnavailable

# Milliseconds that the fence of a name stays; what the caller remembers is as good.
_FENCE_LASTS: Final = 7 * 24 * 3600 * 1000

# KEYS: lock, fence. ARGV: token, milliseconds of the lock, least fence, milliseconds of the fence.
# A call that was repeated since its answer got lost finds its own token. Numbers beyond 2^53 do not occur.
_ACQUIRE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if holder and last > tonumber(ARGV[3]) then return last end
local fence = math.max(last, tonumber(ARGV[3])) + 1
redis.call('SET', KEYS[2], string.format('%.0f', fence), 'PX', ARGV[4])
return fence
"""
# ARGV: token, milliseconds of the lock, its fence, milliseconds of the fence.
_RENEW: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if tonumber(redis.call('GET', KEYS[2]) or ARGV[3]) ~= tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1
"""
# ARGV: token.
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class RedisLocks:
    """Locks in Redis: a key that expires for each, and one for its fence."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._acquire = redis.register_script(_ACQUIRE)
        self._renew = redis.register_script(_RENEW)
        self._release = redis.register_script(_RELEASE)

    @classmethod
    def at(cls, url: str) -> Self:
        """Use the Redis at a URL; raises ConfigurationError as `redis_client.client`."""
        return cls(redis_client.client(url))

    async def acquire(self, name: str, token: str, lasting: timedelta, *, above: int) -> Lease | None:
        """Take a lock, as `Locks` says."""
        fence = await _run(self._acquire, name, token, _milliseconds(lasting), above, _FENCE_LASTS)
        return Lease(name, token, fence) if fence else None

    async def renew(self, lease: Lease, lasting: timedelta) -> bool:
        """Hold a lock for some time from now, as `Locks` says."""
        milliseconds = _milliseconds(lasting)
        return bool(await _run(self._renew, lease.name, lease.token, milliseconds, lease.fence, _FENCE_LASTS))

    async def release(self, lease: Lease) -> None:
        """Give a lock back, as `Locks` says."""
        await _run(self._release, lease.name, lease.token)

    async def check(self) -> None:
        """Return where Redis answers, and takes writes."""
        with _translated():
            # A replica that is read-only would answer a PING.
            await self._redis.set("{penstock}:check", b"", px=1000)

    async def close(self) -> None:
        """Close the connections."""
        await redis_client.close(self._redis)


async def _run(script: AsyncScript, name: str, *arguments: str | int) -> int:
    # One hash slot for both keys, as a cluster wants it.
    keys = [f"penstock:lock:{{{name}}}", f"penstock:fence:{{{name}}}"]
    with _translated():
        return int(await cast("Awaitable[Any]", script(keys=keys, args=list(arguments))))


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with redis_client.translated():
            yield
    except redis_client.RedisUnavailable as error:
        raise LocksUnavailable(str(error)) from error


def _milliseconds(length: timedelta) -> int:
    return max(1, length // timedelta(milliseconds=1))
