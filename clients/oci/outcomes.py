"""How often each upstream answered with which status; whoever exports metrics reads it when it is asked."""

from collections import Counter
from typing import Final

FAILED: Final = "failed"
"""In place of a status: there was no answer."""
OTHER: Final = "other"
"""In place of a host, when there are too many."""
_MOST_HOSTS: Final = 1000


class Outcomes:
    """Counts requests; of hosts beyond a thousand together."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._hosts: set[str] = set()

    def note(self, host: str, status: int | None) -> None:
        """Count a request to a host, by the status of its answer, None where it got none."""
        if host not in self._hosts:
            if len(self._hosts) < _MOST_HOSTS:
                self._hosts.add(host)
            else:
                host = OTHER
        self.counts[host, FAILED if status is None else str(status)] += 1
