"""A dictionary bounded by bytes: what was not used for long goes first."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
ValueT = TypeVar("ValueT")


class _Kept(Generic[ValueT]):
    __slots__ = ("size", "used", "value")

    def __init__(self, value: ValueT, size: int) -> None:
        self.value = value
        self.size = size
        # Since it last stood where things are thrown out.
        self.used = False


class Memory(Generic[KeyT, ValueT]):
    """Keeps values under `max_bytes` in sum; each counts for as much as its `put` says.

    What is looked at between two rounds of throwing out has a second chance. That is nearly what moving it
    to the end would be, but a look hashes its key once, and moves nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._values: OrderedDict[KeyT, _Kept[ValueT]] = OrderedDict()

    def get(self, key: KeyT) -> ValueT | None:
        """Give what is kept under the key, and note that it was used."""
        found = self._values.get(key)
        if found is None:
            return None
        found.used = True
        return found.value

    def put(self, key: KeyT, value: ValueT, size: int) -> None:
        """Keep a value of `size` bytes, in the place of another; one larger than all the room is not kept."""
        self.drop(key)
        if size > self._max_bytes:
            return
        self._make_room(size)
        self._values[key] = _Kept(value, size)
        self._bytes += size

    def drop(self, key: KeyT) -> None:
        """Forget what is kept under the key."""
        dropped = self._values.pop(key, None)
        if dropped is not None:
            self._bytes -= dropped.size

    def __len__(self) -> int:
        return len(self._values)

    @property
    def bytes(self) -> int:
        """What is kept, in bytes."""
        return self._bytes

    def _make_room(self, size: int) -> None:
        # Ends: what was used is so only once more.
        while self._bytes + size > self._max_bytes:
            key, kept = self._values.popitem(last=False)
            if kept.used:
                kept.used = False
                self._values[key] = kept
            else:
                self._bytes -= kept.size
