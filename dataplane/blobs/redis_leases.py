"""Leases in Redis, for nodes that have one."""

from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Final, Self, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from clients.process.cancellation import heed_cancellation
from clients.process.exits import ConfigurationError
from dataplane.blobs.leases import LASTS, LeasesUnavailable
from dataplane.blobs.place import Place
from dataplane.blobs.way import Key, name_of

_SETTING: Final = "PENSTOCK_REDIS_URL"
# Seconds that Redis has for an answer; a client waits meanwhile.
_PATIENCE: Final = 1.0

# ARGV: owner, milliseconds.
_TAKE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# ARGV: owner.
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisLeases:
    """A lease is a key that expires, with its owner as the value."""

    def __init__(self, redis: Redis, place: Place, owner: str, lasts: float = LASTS) -> None:
        """Take leases on blobs of a bucket; owner is known by no other node, `lasts` is in seconds."""
        self._redis = redis
        self._prefix = f"penstock:blob:{place.endpoint}:{place}"
        self._owner = owner
        self._milliseconds = int(lasts * 1000)
        self._take = redis.register_script(_TAKE)
        self._release = redis.register_script(_RELEASE)

    @classmethod
    def at(cls, url: str, place: Place, owner: str, lasts: float = LASTS) -> Self:
        """Use the Redis at `redis://...`, `rediss://...` or `unix://...`; connects to nothing yet.

        Raises ConfigurationError where the URL is wrong.
        """
        try:
            redis = Redis.from_url(
                url,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError as error:
            raise ConfigurationError(
                f"{_SETTING} is not a URL of Redis: give redis://host:6379/0, rediss://... or unix:///path."
            ) from error
        return cls(redis, place, owner, lasts)

    async def take(self, key: Key) -> bool:
        """See Leases."""
        return await self._run(self._take, key, self._owner, self._milliseconds)

    async def release(self, key: Key) -> None:
        """See Leases."""
        await self._run(self._release, key, self._owner)

    async def close(self) -> None:
        """See Leases."""
        # By TLS a Redis that hangs would have to agree.
        with suppress(RedisError, OSError):
            await self._redis.aclose()

    async def _run(self, script: AsyncScript, key: Key, *arguments: str | int) -> bool:
        try:
            answer = script(keys=[f"{self._prefix}:{key[0].algorithm}:{name_of(key)}"], args=list(arguments))
            return bool(await cast("Awaitable[Any]", answer))
        except (RedisError, OSError) as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise LeasesUnavailable(
                f"Redis does not answer ({reason}): start it, or correct {_SETTING}."
            ) from error
        finally:
            heed_cancellation()
