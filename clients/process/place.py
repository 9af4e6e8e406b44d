"""The data directory, and private files in it that are whole or not there."""

import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from clients.process.exits import ConfigurationError

DATA_DIR_SETTING = "PENSTOCK_DATA_DIR"
DEFAULT_DATA_DIR = Path("data")
ADMIN_TOKEN_FILE = "admin-token"  # noqa: S105 - a file's name
NODE_TOKEN_FILE = "node-token"  # noqa: S105 - a file's name
_SECRET_LIMIT = 4096

DISK_TROUBLE: Final = frozenset(
    {
        errno.EROFS,
        errno.EACCES,
        errno.EPERM,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.ESTALE,
    }
)
"""What a directory that is right may fail with today, and not tomorrow: its disk is the cause."""


class Unwritable(ConfigurationError):
    """The directory could be used, but its disk takes nothing now."""


def data_dir(environment: Mapping[str, str]) -> Path:
    """Give the data directory that the environment names, `./data` without one; creates nothing."""
    return Path(environment.get(DATA_DIR_SETTING) or DEFAULT_DATA_DIR)


def prepare(directory: Path, setting: str = DATA_DIR_SETTING) -> Path:
    """Create the directory where it is missing (mode 0700), and give its absolute path.

    Raises ConfigurationError, naming the setting, unless files can be created in it; Unwritable where that
    may change by itself.
    """
    directory = directory.expanduser().absolute()
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Permission bits do not tell: root ignores them, read-only file systems overrule them.
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        kind = Unwritable if error.errno in DISK_TROUBLE else ConfigurationError
        raise kind(
            f"The directory {directory} is not writable ({reason}): set {setting} to one that is."
        ) from error
    return directory


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read (mode 0600), replacing what was there.

    After a crash at any moment the file is the old one or the new one. Raises OSError.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    spool = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        spool.replace(path)
    except BaseException:
        spool.unlink(missing_ok=True)
        raise
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(parent)
    finally:
        os.close(parent)


def read_secret(path: Path) -> str:
    """Read a file that holds one line, a token; without the white space around it.

    Raises FileNotFoundError where there is none, and ConfigurationError where it cannot be a token
    or cannot be read.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_SECRET_LIMIT + 1).decode("ascii").strip()
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(
            f"{path} cannot be read ({reason}): run this as the user that owns it."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} does not hold a token: write one into it, on one line.") from error
    if not text or len(text) > _SECRET_LIMIT or any(c.isspace() for c in text):
        raise ConfigurationError(f"{path} does not hold a token: write one into it, on one line.")
    return text
