"""What is wrong with the disk, for as long as it is."""

import logging
import time
from collections.abc import Callable
from typing import Final

from clients.process.descriptors import is_shortage
from dataplane.blobs.measures import Measures
from dataplane.descriptors import Descriptors

logger = logging.getLogger(__name__)

_PAUSE: Final = 10.0


class Trouble:
    """The last trouble, in a sentence for operators; `clock` gives seconds that never jump.

    The disk is the node's: `tell` is told what this process finds, so that all others `hear` it.
    """

    def __init__(
        self,
        measures: Measures,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[str], None] = lambda _: None,
        descriptors: Descriptors | None = None,
    ) -> None:
        self._measures = measures
        self._clock = clock
        self._tell = tell
        self._descriptors = descriptors or Descriptors()
        self._until = 0.0
        self.sentence = ""
        """Empty when all is well, as far as was seen."""

    @property
    def pauses(self) -> bool:
        """Whether the disk is left alone: tried again every ten seconds, not with every pull."""
        return self._clock() < self._until

    def note(self, sentence: str) -> None:
        """Note that the disk failed, or has no room."""
        if sentence != self.sentence:
            logger.error("%s", sentence)
        self._tell(sentence)
        self.hear(sentence)

    def failed(self, error: OSError) -> None:
        """Note why a file could not be written; what this process lacks is no trouble of the disk."""
        if is_shortage(error):
            self._descriptors.note()
        else:
            self.note(f"The disk does not take blobs: {error.strerror}. They are passed through.")

    def mention(self, sentence: str) -> None:
        """Note what is wrong with one file: this process says it, and nobody leaves the disk alone for it."""
        if not self.pauses:
            self.sentence = sentence
            self._measures.troubled = 1

    def over(self) -> None:
        """Note that it works."""
        if self.sentence:
            logger.info("The disk takes blobs again.")
            self._tell("")
        self.hear("")

    def hear(self, sentence: str) -> None:
        """Take over what another process of the node found; empty when all is well."""
        self.sentence = sentence
        self._measures.troubled = int(bool(sentence))
        self._until = self._clock() + _PAUSE if sentence else 0.0
