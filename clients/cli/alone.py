"""One `penstock up` for a data directory: of two, each node would take the events of the other's."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clients.process.exits import ConfigurationError
from clients.process.place import DATA_DIR_SETTING

_FILE: Final = ".up.lock"


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep others from this directory until the block ends, or the process; raises ConfigurationError.

    On a file system that has no locks nobody is kept from it.
    """
    descriptor = os.open(directory / _FILE, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"Another `penstock up` runs in {directory}: stop that one, or set {DATA_DIR_SETTING} to"
                " another directory."
            ) from None
        except OSError:
            pass
        yield
    finally:
        os.close(descriptor)
