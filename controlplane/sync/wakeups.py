"""Word among replicas that share a Redis: one wrote syncs that wait, and others may have room for them."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from redis.asyncio import Redis

from clients.process.cancellation import heed_cancellation
from controlplane.model.identifiers import new_uid
from controlplane.model.signal import ChangeSignal
from controlplane.sync import redis_client
from controlplane.sync.redis_client import RedisUnavailable, translated

_LOG = logging.getLogger(__name__)

_CHANNEL: Final = "penstock:syncs"
# Seconds of silence after which the connection is looked at, and until a broken one is made anew.
_SILENCE: Final = 30.0
_PAUSE: Final = 1.0


class Wakeups:
    """Tells the other replicas that syncs wait, and hears of it.

    It spares them up to a second, and nothing depends on it: what is not heard is found by looking.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._own = new_uid().encode()
        self._told = ChangeSignal()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, heard: Callable[[], None]) -> None:
        """Begin to listen; `heard` is called for each word of another replica."""
        self._tasks = [
            asyncio.create_task(self._listening(heard), name="sync-wakeups-heard"),
            asyncio.create_task(self._telling(), name="sync-wakeups-told"),
        ]

    async def stop(self) -> None:
        """Listen no more, and close the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await redis_client.close(self._redis)

    def tell(self) -> None:
        """Tell the others, in the background: many words at once are one."""
        self._told.send()

    async def _telling(self) -> None:
        told = self._told.count
        while True:
            heed_cancellation()
            now = await self._told.wait(told, _SILENCE)
            if now == told:
                continue
            told = now
            try:
                with translated():
                    await self._redis.publish(_CHANNEL, self._own)
            except RedisUnavailable as error:
                _LOG.debug("Other replicas find what waits by looking. %s", error)

    async def _listening(self, heard: Callable[[], None]) -> None:
        while True:
            heed_cancellation()
            try:
                with translated():
                    await self._listen(heard)
            except RedisUnavailable as error:
                _LOG.debug("Syncs that other replicas write are found by looking. %s", error)
                await asyncio.sleep(_PAUSE)

    async def _listen(self, heard: Callable[[], None]) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(_CHANNEL)
            while True:
                heed_cancellation()
                word = await channel.get_message(timeout=_SILENCE)
                if word is not None and word["data"] != self._own:
                    heard()
