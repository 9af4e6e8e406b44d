"""Who a node is to the others, for all of its processes and over restarts."""

import logging
import os
import secrets
from pathlib import Path

_LOG = logging.getLogger(__name__)
_BYTES = 12


def identity(path: Path) -> str:
    """Give what the file says, which is made, whole, by the first process that wants it.

    Where it cannot be kept, a process is somebody by itself. For threads: it waits for the disk.
    """
    mine = secrets.token_hex(_BYTES)
    draft = path.with_name(f"{path.name}.{mine}")
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(mine)
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text().strip() or mine
    except OSError as error:
        _LOG.warning("this process is a node by itself, as %s cannot be kept: %s", path, error)
        return mine
