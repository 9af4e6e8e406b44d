"""Empty SQLite databases, each a copy of one that was migrated once in this process: that is quicker."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from controlplane.model.database import Database

FILE = "controlplane.db"


async def copy_into(folder: Path) -> None:
    """Put an empty database where a control plane with this data directory looks for its own."""
    template = _folder() / FILE
    if not template.exists():
        making = template.with_suffix(".new")
        # The last connection takes the write-ahead log along.
        await (await Database.open(f"sqlite:///{making}")).close()
        making.rename(template)
    _copy(template, folder)


def _copy(template: Path, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    shutil.copyfile(template, folder / FILE)


@cache
def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="penstock-empty-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
