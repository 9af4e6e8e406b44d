"""Taking turns with other nodes at asking an upstream, so that one of them asks for all."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, Protocol

from clients.oci.request import Timeouts
from dataplane.blobs.bucket import Bucket
from dataplane.blobs.bucket_client import BucketFailed
from dataplane.blobs.leases import LASTS, Leases, LeasesNotOffered, LeasesUnavailable
from dataplane.blobs.measures import Measures
from dataplane.blobs.way import Key

logger = logging.getLogger(__name__)

# Seconds between two looks for what another node fetches.
_FIRST_LOOK: Final = 0.05
_LONGEST_LOOK: Final = 1.0
# Seconds after which it is worth a request to tell whoever fetches that a client waits.
_MOMENT: Final = 1.0
# Seconds that what keeps the leases is left alone after it failed.
_PAUSE: Final = 15.0
# Seconds for giving leases back when the node stops.
_LAST: Final = 2.0
# The fewest bytes a second that others wait for.
_FLOOR: Final = Timeouts().floor

Came = Callable[[], int | None]
"""Tells how many bytes of a blob have come and, once all have, also of how many have gone to the bucket.

None in between, which takes as long as it takes.
"""


class Fetch(Protocol):
    """What a turn is for."""

    @property
    def joined(self) -> bool:
        """Whether a client waits for it."""
        ...

    def join(self) -> None:
        """Hear that one does."""
        ...


class Turns:
    """The turns of one process; `stop` it after the last.

    A turn is held under a lease from before the upstream is asked until the blob is in the bucket; but not
    while what is left, from the upstream or then to the bucket, comes so slowly that nobody waits for so
    long: the next node may have better luck, and all others then wait for that one. Where there are no leases
    to be had, it is everybody's turn.

    Whoever fetches ahead hears of clients that wait elsewhere: one of their nodes then has the lease of
    another key, made of the blob's.
    """

    def __init__(
        self,
        leases: Leases,
        bucket: Bucket,
        measures: Measures,
        longest: float,
        *,
        lasts: float = LASTS,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Wait for other nodes for `longest` seconds; `lasts` is for how many seconds a lease is taken."""
        self._leases = leases
        self._bucket = bucket
        self._measures = measures
        self._longest = longest
        self._renew = lasts / 3
        self._clock = clock
        self._sleep = sleep
        self._off_until = float("-inf")
        self._said = ""
        self._held: dict[Key, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def come(
        self, key: Key, came: Came, fetch: Fetch | None = None, there: Callable[[], None] = lambda: None
    ) -> bool:
        """Wait until this node may ask the upstream, a bounded time; True where the blob is in the bucket.

        `came` says how its fetch goes on from then; without `fetch` a client waits for it. `there` is
        called where it is slow, and another node has put the blob into the bucket. `over` ends the turn, if
        it was one. Does not raise.
        """
        if key in self._held or self._clock() < self._off_until:
            return False
        try:
            return await self._come(key, came, fetch, there)
        except LeasesUnavailable as error:
            self._unavailable(error)
        except BucketFailed as error:
            logger.warning("other nodes are not waited for, as %s failed: %s", self._bucket.place, error)
        return False

    def over(self, key: Key) -> None:
        """End a turn; nothing happens where there was none."""
        renewing = self._held.pop(key, None)
        if renewing is not None:
            renewing.cancel()
            self._spawn(self._release(key))

    async def stop(self) -> None:
        """End all turns."""
        for key in list(self._held):
            self.over(key)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_LAST)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _come(self, key: Key, came: Came, fetch: Fetch | None, there: Callable[[], None]) -> bool:
        if not await self._leases.take(key):
            waited = await self._wait(key, fetch)
            if waited is not None:
                return waited
        self._well()
        # Another fetch of this node, for other readers, may have the turn by now.
        if key not in self._held:
            self._held[key] = self._spawn(self._keep(key, came, fetch, there))
        # Its last holder may have put the blob there just before it gave the lease back.
        try:
            is_there = await self._bucket.size(key[0]) is not None
        except BaseException:
            self.over(key)
            raise
        if is_there:
            self.over(key)
        return is_there

    async def _wait(self, key: Key, fetch: Fetch | None) -> bool | None:
        """Wait for another node; tells whether the blob is in the bucket, or None where it is the turn."""
        begun, pause, wished = self._clock(), _FIRST_LOOK, False
        self._measures.bucket_waits += 1
        try:
            while True:
                self._well()
                waited = self._clock() - begun
                if waited >= self._longest:
                    self._measures.bucket_waits_ended += 1
                    logger.warning(
                        "blob %s is fetched here too: another node has not put it into %s within %g s",
                        key[0], self._bucket.place, self._longest,
                    )  # fmt: skip
                    return False
                if waited > _MOMENT and not wished and (fetch is None or fetch.joined):
                    wished = await self._leases.take(_wish(key))
                await self._sleep(min(pause, self._longest - waited))
                pause = min(pause * 1.5, _LONGEST_LOOK)
                if await self._bucket.size(key[0]) is not None:
                    return True
                if await self._leases.take(key):
                    return None
        finally:
            if wished:
                self._spawn(self._release(_wish(key)))

    async def _keep(self, key: Key, came: Came, fetch: Fetch | None, there: Callable[[], None]) -> None:
        growth, waited_for = _Growth(key[1], self._longest, self._clock(), came()), True
        while True:
            await asyncio.sleep(self._renew)
            if growth.is_too_slow(self._clock(), came()):
                if waited_for:
                    logger.warning("blob %s comes too slowly for other nodes to wait for it", key[0])
                    await self._release(key)
                waited_for = False
                with suppress(BucketFailed):
                    if await self._bucket.size(key[0]) == key[1]:
                        there()
                continue
            try:
                taken = await self._leases.take(key)
                if taken and fetch is not None and not fetch.joined and await self._is_wished(key):
                    fetch.join()
            except LeasesUnavailable as error:
                self._unavailable(error)
                continue
            if waited_for and not taken:
                logger.warning("another node has taken over the fetch of blob %s", key[0])
            waited_for = taken

    async def _is_wished(self, key: Key) -> bool:
        if not await self._leases.take(_wish(key)):
            return True
        self._spawn(self._release(_wish(key)))
        return False

    async def _release(self, key: Key) -> None:
        try:
            await self._leases.release(key)
        except LeasesUnavailable as error:
            self._unavailable(error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="turn")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _well(self) -> None:
        if self._said:
            logger.warning("Nodes take turns again at what they all want.")
            self._said = ""

    def _unavailable(self, error: LeasesUnavailable) -> None:
        never = isinstance(error, LeasesNotOffered)
        self._off_until = float("inf") if never else self._clock() + _PAUSE
        if not self._said:
            self._said = str(error)
            logger.warning("This node waits for no other%s. %s", " from now on" if never else "", error)


def _wish(key: Key) -> Key:
    """Give the key whose lease a node has where a client waits for this one."""
    digest, size, owner = key
    return digest, size, f"{owner} waits"


class _Growth:
    """Compares what has come with what had come two looks ago: within one, a fetch may sign in or pause."""

    def __init__(self, size: int, longest: float, now: float, came: int | None) -> None:
        self._size = size
        self._longest = longest
        self._looks = deque([(now, came or 0)], 2)

    def is_too_slow(self, now: float, came: int | None) -> bool:
        if came is None:
            return False
        then, before = self._looks[0]
        left = (self._size if came < self._size else 2 * self._size) - came
        wanted = max(_FLOOR, left / self._longest) * (now - then)
        slow = len(self._looks) > 1 and came - before < wanted
        self._looks.append((now, came))
        return slow
