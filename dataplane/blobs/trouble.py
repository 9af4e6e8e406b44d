"""What is wrong with the disk, for as long as it is."""

import time
from collections.abc import Callable
from typing import Final

from dataplane.blobs.measures import Measures

_PAUSE: Final = 10.0


class Trouble:
    """The last trouble, in a sentence for operators; `clock` gives seconds that never jump."""

    def __init__(self, measures: Measures, clock: Callable[[], float] = time.monotonic) -> None:
        self._measures = measures
        self._clock = clock
        self._until = 0.0
        self.sentence = ""
        """Empty when all is well, as far as was seen."""

    @property
    def pauses(self) -> bool:
        """Whether the disk is left alone: tried again every ten seconds, not with every pull."""
        return self._clock() < self._until

    def note(self, sentence: str) -> None:
        """Note that the disk failed, or has no room."""
        self.sentence = sentence
        self._measures.troubled = 1
        self._until = self._clock() + _PAUSE

    def over(self) -> None:
        """Note that it works."""
        self.sentence = ""
        self._measures.troubled = 0
        self._until = 0.0
