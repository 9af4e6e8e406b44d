"""Room that fills were promised and have not taken yet, over all processes of a node."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from dataplane.blobs.claim import SUFFIX
from dataplane.blobs.spool import SPOOL_SUFFIX


def promised(folder: Path, *, but: str = "") -> int:
    """Add up what running fills have yet to write: of claims that are not empty, and held, `but` one.

    The claims are the account: it needs no keeping, and a process that dies takes its part out of it.
    Raises OSError.
    """
    total = 0
    with os.scandir(folder) as files:
        for file in files:
            if file.name == but or not file.name.endswith(SUFFIX):
                continue
            # One that ends meanwhile takes nothing more.
            with suppress(FileNotFoundError):
                if file.stat().st_size and (left := missing(Path(file.path))) and _is_held(file.path):
                    total += left
    return total


def missing(claim: Path) -> int:
    """Tell how many bytes a fill has yet to write, by the path of its claim. Raises OSError."""
    name = claim.name.removesuffix(SUFFIX)
    size = int(name.rpartition(".")[2])
    try:
        written = claim.with_name(f"{name}{SPOOL_SUFFIX}").stat().st_size
    except FileNotFoundError:
        written = 0
    return max(0, size - written)


def _is_held(path: str) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # Shared, so that all may look at once; whoever would take the claim in this instant looks again.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
