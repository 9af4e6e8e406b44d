"""The feed: one reader of the database, and any number of nodes that follow the configuration."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Final

from controlplane.config import snapshot
from controlplane.config.change import difference, whole
from controlplane.config.held import Held
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.signal import ChangeSignal
from penstock.v1 import node_pb2

_LOG = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
HEARTBEAT_SECONDS: Final = 5.0
# For how many of these a watcher waits for the first reading; less than nodes take for a dead stream.
_FIRST_HEARTBEATS: Final = 3
# Least time between two builds: a hundred syncs at once must not keep the process building.
_SETTLE_SECONDS: Final = 0.25

_Messages = list[node_pb2.WatchConfigResponse]


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
        self._current: Held | None = None
        self._snapshot: tuple[Held, _Messages] | None = None
        self._last_step: tuple[Held, Held, _Messages] | None = None
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

        What is large comes in pieces, all but the last marked as `continued`. A watcher that is slow to take
        one gets the next changes as one. Raises DatabaseUnavailable where there is no configuration to begin
        with.
        """
        held = await self._first()
        for piece in self._whole(held):
            yield piece
        while not self._stopped:
            seen = self._published.count
            if self._current is not None and self._current is not held:
                change = self._step(held, self._current)
                held = self._current
                for piece in change:
                    yield piece
            elif await self._published.wait(seen, self._heartbeat) == seen and self._is_fresh():
                yield node_pb2.WatchConfigResponse(
                    heartbeat=node_pb2.WatchConfigResponse.Heartbeat(revision=held.revision)
                )

    async def _first(self) -> Held:
        # The first reading of a large installation takes seconds: nodes that came early are not sent away.
        for _ in range(_FIRST_HEARTBEATS):
            seen = self._published.count
            if self._current is None and not self._stopped:
                await self._published.wait(seen, self._heartbeat)
            if self._current is not None:
                return self._current
            if self._failing:
                break
        raise DatabaseUnavailable("The configuration could not be read from the database yet.")

    def _whole(self, held: Held) -> _Messages:
        # After a restart all nodes come at once.
        if self._snapshot is None or self._snapshot[0] is not held:
            self._snapshot = (held, whole(held))
        return self._snapshot[1]

    def _step(self, old: Held, new: Held) -> _Messages:
        if new.revision < old.revision:
            # Of a backup; nodes take no change that leads backwards.
            return self._whole(new)
        # Nearly all watchers make the same step: it is compared once, and not once for each.
        if self._last_step is None or self._last_step[0] is not old or self._last_step[1] is not new:
            self._last_step = (old, new, difference(old, new))
        return self._last_step[2]

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
        """Read the configuration where the revision is another; give whether it was."""
        async with self._database.read() as session:
            changed = (
                self._current is None or await self._database.revision(session) != self._current.revision
            )
            if changed:
                self._current = await snapshot.read(session, self._current)
        self._read_at = self._clock()
        if changed:
            self._snapshot = None
            self._published.send()
        return changed
