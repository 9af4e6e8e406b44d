"""What each thread of a process is doing, as the process tells when it can do nothing else any more."""

import faulthandler
import os
import signal
from typing import Final, Self

REQUEST: Final = signal.SIGUSR1
"""Has a worker tell."""
# Bytes of it that are read.
_MOST: Final = 64 << 10


class Stacks:
    """Memory that a process writes the stacks of its threads to, and another may read.

    The interpreter's own handler writes them (faulthandler), at once and without the interpreter's lock: only
    names of functions, files and lines, so that nothing secret is among it.
    """

    def __init__(self, descriptor: int) -> None:
        """Take over the descriptor."""
        self._descriptor = descriptor

    @classmethod
    def create(cls) -> Self:
        """Make one that is empty."""
        return cls(os.memfd_create("penstock-stacks", os.MFD_CLOEXEC))

    def fileno(self) -> int:
        """The descriptor, to be inherited."""
        return self._descriptor

    def write_on_request(self) -> None:
        """Have this process write its stacks whenever it gets the signal REQUEST."""
        faulthandler.register(REQUEST, self._descriptor)

    def write(self) -> None:
        """Write those of this process."""
        faulthandler.dump_traceback(self._descriptor)

    def read(self) -> str:
        """Give what was written; empty where nothing was, or it was let go of."""
        return os.pread(self._descriptor, _MOST, 0).decode(errors="replace") if self._descriptor >= 0 else ""

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)
        self._descriptor = -1
