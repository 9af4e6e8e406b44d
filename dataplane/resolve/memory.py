"""A dictionary bounded by bytes: what was used least recently goes first."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class Memory(Generic[KeyT, ValueT]):
    """Keeps values under `max_bytes` in sum; each counts for as much as its `put` says."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: OrderedDict[KeyT, tuple[ValueT, int]] = OrderedDict()

    def get(self, key: KeyT) -> ValueT | None:
        """Give what is kept under the key, and note that it was used."""
        found = self._values.get(key)
        if found is None:
            return None
        self._values.move_to_end(key)
        return found[0]

    def put(self, key: KeyT, value: ValueT, size: int) -> None:
        """Keep a value of `size` bytes, in the place of another; one larger than all the room is not kept."""
        self.drop(key)
        if size > self._max_bytes:
            return
        self._values[key] = (value, size)
        self._bytes += size
        while self._bytes > self._max_bytes:
            _, (_, freed) = self._values.popitem(last=False)
            self._bytes -= freed

    def drop(self, key: KeyT) -> None:
        """Forget what is kept under the key."""
        dropped = self._values.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped[1]

    def __len__(self) -> int:
        return len(self._values)

    @property
    def bytes(self) -> int:
        """What is kept, in bytes."""
        return self._bytes
