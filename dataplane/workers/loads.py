"""How many connections each of a node's workers has, in memory that all of them share."""

import mmap
import os
from typing import Final, Self

_CELL: Final = 8
# More than any worker has: nobody is to be given to it.
_CLOSED: Final = 1 << 62
# Connections that wait for a worker which has been stopped, or hangs: it is given no more.
_HANGS: Final = 64


class Loads:
    """One row for each worker: what it has, what it was given, and what it gave to each of the others.

    Every cell is written by one process, and a whole word: there is no lock that a process which was stopped
    could keep. What is on its way from one worker to another counts as the other's.
    """

    def __init__(self, descriptor: int, count: int) -> None:
        """Take over the descriptor, which the `count` workers of the node have inherited."""
        self._descriptor = descriptor
        self._count = count
        self._width = 2 + count
        self._memory = mmap.mmap(descriptor, count * self._width * _CELL)
        self._cells = memoryview(self._memory).cast("q")

    @classmethod
    def create(cls, count: int) -> Self:
        """Make one in which no worker takes anything yet."""
        descriptor = os.memfd_create("penstock-loads", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, count * (2 + count) * _CELL)
        loads = cls(descriptor, count)
        for index in range(count):
            loads.shut(index)
        return loads

    def fileno(self) -> int:
        """The descriptor, to be inherited."""
        return self._descriptor

    def has(self, index: int, connections: int) -> None:
        """Note how many connections a worker has."""
        self._cells[index * self._width] = connections

    def shut(self, index: int) -> None:
        """Note that a worker takes nothing any more, or has ended."""
        self._cells[index * self._width] = _CLOSED

    def gave(self, index: int, other: int) -> None:
        """Note that a worker has given a connection to another."""
        self._cells[index * self._width + 2 + other] += 1

    def took(self, index: int) -> None:
        """Note that a worker has taken one that another gave it."""
        self._cells[index * self._width + 1] += 1

    def settle(self, index: int) -> None:
        """Note that a worker has taken all that others gave it, whatever the one before it did."""
        self._cells[index * self._width + 1] = self._given(index)

    def of(self, index: int) -> int:
        """Tell how many connections a worker has, or is about to have; very many where it takes none."""
        row = index * self._width
        waiting = self._given(index) - self._cells[row + 1]
        return self._cells[row] + waiting if waiting < _HANGS else _CLOSED

    def close(self) -> None:
        """Let go of it."""
        self._cells.release()
        self._memory.close()
        os.close(self._descriptor)

    def _given(self, index: int) -> int:
        return sum(self._cells[2 + index :: self._width])
