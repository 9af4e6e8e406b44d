"""Room that fills were promised and have not taken yet, over all processes of a node."""

import os
from contextlib import suppress
from pathlib import Path

from dataplane.blobs.claim import SUFFIX
from dataplane.blobs.held import is_held
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
                if file.stat().st_size and (left := missing(path := Path(file.path))) and is_held(path):
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
