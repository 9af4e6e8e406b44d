"""Locks between the processes of a node, which end with whoever holds them: being read, being alone."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final

_SHARED: Final = fcntl.LOCK_SH | fcntl.LOCK_NB


def hold(file: FileIO) -> None:
    """Mark an open file as being read, until it and all its duplicates are closed. Never blocks."""
    # Refused in the instant in which it is removed, and by file systems without locks: reading is safe
    # then as well, since an open file outlives its name. (Without `suppress`: every pull comes here.)
    try:  # noqa: SIM105
        fcntl.flock(file.fileno(), _SHARED)
    except OSError:
        pass


def open_held(path: Path | str) -> FileIO:
    """Open a file to read it, and hold it; raises OSError."""
    file = FileIO(path, "rb")
    hold(file)
    return file


def is_held(path: Path) -> bool:
    """Tell whether somebody has a file open whom `hold` marked; False for one that is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Given back at once: whoever marks the file in between goes without, as with one that is removed.
        return not _lock(descriptor)
    finally:
        os.close(descriptor)


def remove_unless_held(path: Path) -> bool:
    """Remove a file that nobody reads; False if somebody does, or it is not there. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    finally:
        os.close(descriptor)
    return True


@contextmanager
def alone_with(path: Path) -> Iterator[bool]:
    """Be the only one in this block, of all processes of the node; gives False if not. Raises OSError."""
    # For reading: a file that is open for writing would keep a disk from being made read-only.
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT, 0o640)
    try:
        yield _lock(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def in_turn(folder: Path) -> Iterator[None]:
    """Be the only one in this block, of all who take turns at a folder; waits, and so is for threads.

    Raises OSError where there is no such folder. On file systems without locks there are no turns.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
