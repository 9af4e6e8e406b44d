"""Who a control plane is, over its restarts: so it knows at its start which runs were its own."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from controlplane.model.identifiers import new_uid

_FILE: Final = "instance"
# A uid is shorter.
_LONGEST: Final = 64


@contextmanager
def instance(directory: Path) -> Iterator[str]:
    """Give this process the name that its data directory keeps.

    While the block runs no other process on this machine gets the same name from this directory: whoever
    had it before is gone. Where one has it already, the name is a new one that is not kept.
    """
    descriptor = os.open(directory / _FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            # The kernel gives it back when the process ends, however that is.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield new_uid()
            return
        name = os.read(descriptor, _LONGEST).decode(errors="replace").strip()
        if not name.isprintable() or not name:
            name = new_uid()
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{name}\n".encode(), 0)
        yield name
    finally:
        os.close(descriptor)
