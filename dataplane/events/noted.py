"""Records on their way to who folds them."""

from collections import deque
from collections.abc import Iterable

from dataplane.events.records import Record


class Noted:
    """A queue in memory; the oldest go where nobody takes them for too long."""

    def __init__(self, most: int = 50_000) -> None:
        self._records: deque[Record] = deque()
        self._most = most
        self.lost = 0
        """Records that were dropped."""

    def put(self, records: Iterable[Record]) -> None:
        """Add records."""
        self._records.extend(records)
        while len(self._records) > self._most:
            self._records.popleft()
            self.lost += 1

    def take(self) -> list[Record]:
        """Give all, and forget them."""
        records = list(self._records)
        self._records.clear()
        return records
