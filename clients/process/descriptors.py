"""Whether there is no file descriptor left, which says nothing of what was to be opened."""

import errno
import logging
import resource
import time
from collections.abc import Callable
from typing import Final

_LOG = logging.getLogger(__name__)

_GONE: Final = frozenset({errno.EMFILE, errno.ENFILE})
# Seconds that it is told of after the last time: it comes and goes with the clients.
_TOLD: Final = 60.0


def is_shortage(error: OSError) -> bool:
    """Tell whether an error says so, of this process or of the machine."""
    return error.errno in _GONE


class Shortage:
    """Notes when they run out, and logs that when it begins; `clock` gives seconds that never jump."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.times = 0
        """How often there was none."""
        self._clock = clock
        self._until = float("-inf")

    @property
    def trouble(self) -> str:
        """What is wrong, in a sentence for operators; empty where nothing was for a minute."""
        if self._clock() >= self._until:
            return ""
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"No file descriptor was left to take a connection or open a file (a process may have {limit}):"
            " raise that limit (LimitNOFILE=, ulimit -n), or the machine's (fs.file-max)."
        )

    def note(self) -> None:
        """Note that there was none."""
        begins = not self.trouble
        self.times += 1
        self._until = self._clock() + _TOLD
        if begins:
            _LOG.error("%s", self.trouble)
