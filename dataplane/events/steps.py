"""Notices that the machine's clock was set, and moves what was noted before to the time that is right now."""

from collections.abc import Callable
from typing import Final

from dataplane.events.records import Record

# Seconds; a clock that is slewed goes wrong by a thousandth, and no window is as short.
_LEAST: Final = 2.0
# Seconds after a step in which what was noted before it may still come, from other workers.
_LATE: Final = 5.0


class Steps:
    """Compares a clock, in seconds since the epoch, with one that goes steadily.

    That of a machine that slept has made a step as well: what was under way then goes on.
    """

    def __init__(self, clock: Callable[[], float], steady: Callable[[], float]) -> None:
        self._clock = clock
        self._steady = steady
        self._before = clock(), steady()
        # The last one, and until when what comes may be of before it.
        self._step, self._until = 0.0, 0.0

    def look(self) -> float:
        """Tell by how many seconds the clock was set since the last look; 0 where it was not."""
        clock, steady = self._clock(), self._steady()
        step = (clock - self._before[0]) - (steady - self._before[1])
        self._before = clock, steady
        if abs(step) < _LEAST:
            return 0.0
        self._step, self._until = step, steady + _LATE
        return step

    def moved(self, records: list[Record]) -> list[Record]:
        """Give the records with those moved that were noted before a step just now."""
        if self._step and self._steady() > self._until:
            self._step = 0.0
        step, now = self._step, self._before[0]
        if not step:
            return records
        return [
            each._replace(at=each.at + step, last=each.last + step)
            if abs(each.at + step - now) < abs(each.at - now)
            else each
            for each in records
        ]
