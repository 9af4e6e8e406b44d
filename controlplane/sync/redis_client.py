"""The Redis that replicas share."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import RedisError

from clients.process.exits import ConfigurationError

SETTING: Final = "PENSTOCK_REDIS_URL"
# Seconds that Redis has for an answer. A sync waits for nothing else as often.
_PATIENCE: Final = 1.0
_RETRY_PAUSE: Final = 0.1
_RETRIES: Final = 1
_CONNECTIONS: Final = 50


class RedisUnavailable(Exception):
    """Redis does not answer; `str()` is one sentence that says so."""


def client(url: str) -> Redis:
    """Make a client of the Redis at `redis://...`, `rediss://...` or `unix://...`; connects to nothing yet.

    Raises ConfigurationError where the URL is wrong.
    """
    try:
        return Redis.from_url(
            url,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(ConstantBackoff(_RETRY_PAUSE), _RETRIES),
            max_connections=_CONNECTIONS,
        )
    except ValueError as error:
        raise ConfigurationError(
            f"{SETTING} is not a URL of Redis: give redis://host:6379/0, rediss://... or unix:///path."
        ) from error


async def close(redis: Redis) -> None:
    """Close the connections; one that a Redis which hangs does not let go of ends with the process."""
    # By TLS it would have to agree.
    with suppress(RedisError, OSError):
        await redis.aclose()


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the library raises inside into RedisUnavailable."""
    try:
        yield
    except (RedisError, OSError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise RedisUnavailable(
            f"Redis does not answer ({reason}): start it, or correct {SETTING}."
        ) from error
