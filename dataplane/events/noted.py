"""Records on their way to who folds them."""

from collections import deque
from collections.abc import Iterable

from dataplane.events.records import Record


class Noted:
    """A queue in memory; the oldest go where nobody takes them for too long.

    It has `most` records, which name `most_names` manifests and blobs.
    """

    def __init__(self, most: int = 50_000, most_names: int = 500_000) -> None:
        self._records: deque[Record] = deque()
        self._names = 0
        self._most = most
        self._most_names = most_names
        self.lost = 0
        """Records that were dropped."""

    def put(self, records: Iterable[Record]) -> None:
        """Add records."""
        for record in records:
            self._records.append(record)
            self._names += record.outline.names
            while len(self._records) > self._most or self._names > self._most_names:
                self._names -= self._records.popleft().outline.names
                self.lost += 1

    def take(self) -> list[Record]:
        """Give all, and forget them."""
        records = list(self._records)
        self._records.clear()
        self._names = 0
        return records
