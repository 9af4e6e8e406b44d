"""Whether the locks can be used, said once when that changes."""

import logging

from controlplane.sync.locks import Locks, LocksUnavailable
from controlplane.sync.measures import SyncMeasures

_LOG = logging.getLogger(__name__)


class LockHealth:
    """What was last heard of the locks."""

    def __init__(self, locks: Locks, measures: SyncMeasures) -> None:
        self._locks = locks
        self._measures = measures
        # Why nothing is synced, one sentence; empty while all is well.
        self.problem = ""

    async def check(self) -> None:
        """Raise LocksUnavailable where they cannot be used now."""
        try:
            await self._locks.check()
        except LocksUnavailable as error:
            self.fail(error)
            raise
        if self.problem:
            _LOG.warning("Syncs go on: the locks can be used again.")
        self.problem = ""
        self._measures.go_on()

    def fail(self, error: LocksUnavailable) -> None:
        """Take note that they could not be used."""
        if not self.problem:
            _LOG.error("Syncs are paused, and pulls go on. %s", error)
        self.problem = str(error)
        self._measures.pause()
