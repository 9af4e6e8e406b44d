"""Which of a node's workers a process is."""

import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Share:
    """Worker `index` of `count`."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` gives."""
        index, _, count = text.partition("/")
        return cls(int(index), int(count))

    @property
    def alone(self) -> bool:
        """Whether this process is the whole node."""
        return self.count == 1

    @property
    def leads(self) -> bool:
        """Whether this process does what one of the node's has to do for all."""
        return self.index == 0

    def of(self, size: int) -> int:
        """Give this worker's part of what the node may take."""
        return size // self.count

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
