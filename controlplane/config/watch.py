"""The feed: one reader of the database, and any number of nodes that follow the configuration."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Final

from controlplane.config import snapshot
from controlplane.config.change import difference
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.signal import ChangeSignal
from penstock.v1 import config_pb2, node_pb2

_LOG = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
HEARTBEAT_SECONDS: Final = 5.0
# Least time between two builds: a hundred syncs at once must not keep the process building.
_SETTLE_SECONDS: Final = 0.25


class ConfigFeed:
    """Follows the configuration revision and gives every watcher a snapshot, then changes.

    A change committed in this process is seen at once, one by another replica within
    POLL_SECONDS. While the database does not answer there are no heartbeats either: nodes then
    know that what they hold may be old. `clock` counts seconds and never goes back.
    """

    def __init__(
        self,
        database: Database,
        *,
        heartbeat: float = HEARTBEAT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._heartbeat = heartbeat
        self._clock = clock
        self._published = ChangeSignal()
        self._current: config_pb2.Configuration | None = None
        self._last_step: tuple[config_pb2.Configuration, config_pb2.ConfigurationChange] | None = None
        self._read_at = clock()
        self._failing = False
        self._stopped = False
        self._follower: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to follow, in a task of its own."""
        self._follower = asyncio.create_task(self._follow(), name="config-feed")

    async def stop(self) -> None:
        """End every watch, and stop following."""
        self._stopped = True
        self._published.send()
        if self._follower is not None:
            self._follower.cancel()
            with suppress(asyncio.CancelledError):
                await self._follower

    async def watch(self) -> AsyncGenerator[node_pb2.WatchConfigResponse, None]:
        """Yield the configuration, then each change of it, and heartbeats between; ends with `stop`.

        A watcher that is slow to take one gets the next changes as one. Raises DatabaseUnavailable
        where there is no configuration to begin with.
        """
        held = await self._first()
        yield node_pb2.WatchConfigResponse(snapshot=held)
        while not self._stopped:
            seen = self._published.count
            if self._current is not None and self._current is not held:
                change = self._step(held, self._current)
                held = self._current
                yield node_pb2.WatchConfigResponse(change=change)
            elif await self._published.wait(seen, self._heartbeat) == seen and self._is_fresh():
                yield node_pb2.WatchConfigResponse(
                    heartbeat=node_pb2.WatchConfigResponse.Heartbeat(revision=held.revision)
                )

    async def _first(self) -> config_pb2.Configuration:
        seen = self._published.count
        if self._current is None:
            await self._published.wait(seen, self._heartbeat)
        if self._current is None:
            raise DatabaseUnavailable("The configuration could not be read from the database yet.")
        return self._current

    def _step(
        self, old: config_pb2.Configuration, new: config_pb2.Configuration
    ) -> config_pb2.ConfigurationChange:
        # Nearly all watchers make the same step: it is compared once, and not once for each.
        if (
            self._last_step is None
            or self._last_step[0] is not old
            or self._last_step[1].to_revision != new.revision
        ):
            self._last_step = (old, difference(old, new))
        return self._last_step[1]

    def _is_fresh(self) -> bool:
        return self._clock() - self._read_at < self._heartbeat

    async def _follow(self) -> None:
        while True:
            seen = self._database.config_changed.count
            try:
                published = await self._refresh()
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may succeed
                if not self._failing:
                    _LOG.exception(
                        "The configuration cannot be read: nodes keep the one they have.", exc_info=error
                    )
                self._failing = True
                published = False
            else:
                self._failing = False
            if published:
                await asyncio.sleep(_SETTLE_SECONDS)
            await self._database.config_changed.wait(seen, POLL_SECONDS)

    async def _refresh(self) -> bool:
        """Build the configuration where the revision is another; give whether it was."""
        async with self._database.read() as session:
            changed = (
                self._current is None or await self._database.revision(session) != self._current.revision
            )
            if changed:
                self._current = await snapshot.build(session)
        self._read_at = self._clock()
        if changed:
            self._published.send()
        return changed
