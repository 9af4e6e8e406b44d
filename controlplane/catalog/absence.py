"""A short memory of what the upstream did not have."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)


class Absences(Generic[_Key]):
    """Remembers keys for `seconds`, the latest `capacity` of them.

    `clock` counts seconds and never goes back.
    """

    def __init__(self, clock: Callable[[], float], *, seconds: float = 10.0, capacity: int = 10_000) -> None:
        self._clock = clock
        self._seconds = seconds
        self._capacity = capacity
        # Until when, oldest first: all last equally long.
        self._until: OrderedDict[_Key, float] = OrderedDict()

    def remember(self, key: _Key) -> None:
        """Remember `key` from now on."""
        self._until[key] = self._clock() + self._seconds
        self._until.move_to_end(key)
        self._forget()

    def __contains__(self, key: _Key) -> bool:
        self._forget()
        return key in self._until

    def __len__(self) -> int:
        return len(self._until)

    def _forget(self) -> None:
        now = self._clock()
        while self._until:
            key, until = next(iter(self._until.items()))
            if now < until and len(self._until) <= self._capacity:
                return
            del self._until[key]
