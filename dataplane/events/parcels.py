"""Records between processes: packed by the worker that noted them, unpacked by the one that folds."""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from dataplane.events.records import Record, unpack

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
# Bytes of a parcel, but for its last record.
_FULL: Final = 256 << 10
_MOST_BYTES: Final = 8 << 20


class Parcel(NamedTuple):
    """Some records, which can be passed on and counted without being read."""

    size: int
    """How many they are."""
    content: bytes

    def records(self) -> list[Record]:
        """Unpack it."""
        return unpack(json.loads(self.content))


def pack(records: Iterable[Record]) -> Iterator[Parcel]:
    """Make parcels of records, in their order."""
    packed: list[str] = []
    size = 0
    for record in records:
        packed.append(_ENCODER.encode(record))
        size += len(packed[-1])
        if size >= _FULL:
            yield _parcel(packed)
            packed, size = [], 0
    if packed:
        yield _parcel(packed)


def _parcel(packed: list[str]) -> Parcel:
    return Parcel(len(packed), f"[{','.join(packed)}]".encode())


class Stock:
    """Parcels that nobody can take now; the oldest go where they come to more than `most` bytes."""

    def __init__(self, most: int = _MOST_BYTES) -> None:
        self._parcels: deque[Parcel] = deque()
        self._most = most
        self._bytes = 0
        self.lost = 0
        """Records that were dropped."""

    def put(self, parcel: Parcel) -> None:
        """Add one."""
        self._parcels.append(parcel)
        self._bytes += len(parcel.content)
        while self._bytes > self._most:
            self.lost += self._pop().size

    def take(self) -> Iterator[Parcel]:
        """Give all, the oldest first, and forget them."""
        while self._parcels:
            yield self._pop()

    def _pop(self) -> Parcel:
        parcel = self._parcels.popleft()
        self._bytes -= len(parcel.content)
        return parcel
