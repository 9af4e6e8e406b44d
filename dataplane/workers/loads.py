"""How many connections each of a node's workers has, and when it last stirred, in memory that all share."""

import mmap
import os
import time
from collections.abc import Callable
from typing import Final, Self

_CELL: Final = 8
# More than any worker has: nobody is to be given to it.
_CLOSED: Final = 1 << 62
# Connections that wait for a worker before it is given no more.
_HANGS: Final = 64
# Nanoseconds after which a worker that has not stirred is given no more: it was stopped, or hangs.
_STILL: Final = 1_000_000_000
# Columns before those of the others.
_OWN: Final = 3


class Loads:
    """One row for each worker: what it has, took and gave to each of the others, and when it last stirred.

    The supervisor has a row as well, the last one, for what it gives.
    Every cell is written by one process, and a whole word: there is no lock that a process which was stopped
    could keep. What is on its way from one worker to another counts as the other's.
    `clock` gives nanoseconds, the same ones in all processes.
    """

    def __init__(self, descriptor: int, count: int, clock: Callable[[], int] = time.monotonic_ns) -> None:
        """Take over the descriptor, which the `count` workers of the node have inherited."""
        self._clock = clock
        self._descriptor = descriptor
        self._count = count
        self._width = _OWN + count
        self._memory = mmap.mmap(descriptor, (count + 1) * self._width * _CELL)
        self._cells = memoryview(self._memory).cast("q")

    @classmethod
    def create(cls, count: int, clock: Callable[[], int] = time.monotonic_ns) -> Self:
        """Make one in which no worker takes anything yet."""
        descriptor = os.memfd_create("penstock-loads", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, (count + 1) * (_OWN + count) * _CELL)
        loads = cls(descriptor, count, clock)
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
        """Note that a worker takes nothing any more."""
        self._cells[index * self._width] = _CLOSED

    def ended(self, index: int) -> None:
        """Note, in its place, that a worker has ended."""
        self.shut(index)
        self._cells[index * self._width + 2] = 0

    def stir(self, index: int) -> None:
        """Note that a worker is not stopped, and does not hang."""
        self._cells[index * self._width + 2] = self._clock()

    def stirred(self, index: int) -> int:
        """Tell when that was, by the clock; 0 before the first time."""
        return self._cells[index * self._width + 2]

    def gives(self, index: int, other: int) -> None:
        """Note that a worker is about to give a connection to another.

        Not afterwards: the other may have taken it by then, and would seem to have fewer than it has.
        """
        self._cells[index * self._width + _OWN + other] += 1

    def keeps(self, index: int, other: int) -> None:
        """Note that a worker could not give a connection to another."""
        self._cells[index * self._width + _OWN + other] -= 1

    def gives_from_outside(self, other: int) -> None:
        """Note that the supervisor is about to give a connection to a worker."""
        self.gives(self._count, other)

    def took_back(self, other: int) -> None:
        """Note that the supervisor has one that was given to a worker, which did not take it."""
        self.keeps(self._count, other)

    def took(self, index: int) -> None:
        """Note that a worker has taken one that another gave it."""
        self._cells[index * self._width + 1] += 1

    def settle(self, index: int) -> None:
        """Note that a worker has taken all that others gave it, whatever the one before it did."""
        self._cells[index * self._width + 1] = self._given(index)

    def of(self, index: int) -> int:
        """Tell how many connections a worker has, or is about to have; very many where it takes none."""
        row = index * self._width
        if self._clock() - self._cells[row + 2] > _STILL:
            return _CLOSED
        waiting = self._given(index) - self._cells[row + 1]
        return self._cells[row] + waiting if waiting < _HANGS else _CLOSED

    def takes(self, index: int) -> bool:
        """Tell whether a worker takes connections."""
        return self.of(index) < _CLOSED

    def close(self) -> None:
        """Let go of it."""
        self._cells.release()
        self._memory.close()
        os.close(self._descriptor)

    def _given(self, index: int) -> int:
        return sum(self._cells[_OWN + index :: self._width])
