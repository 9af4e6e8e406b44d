"""Finds the real programs that tests need; a test that misses one is skipped loudly, or fails in CI."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
GO_TOOLS = ROOT / ".tools" / "bin"


def debian(program: str, package: str) -> Path:
    """The path of a program of a Debian package, which `tests/setup.sh` installs where it may."""
    for folder in (*os.get_exec_path(), "/usr/sbin"):
        if (found := Path(folder) / program).is_file() and os.access(found, os.X_OK):
            return found
    return _missing(
        f"{program} is not on this machine: install Debian's {package}, or run tests/setup.sh as root"
    )


def go_built(program: str) -> Path:
    """The path of a program that `tests/setup.sh` builds where there is Go."""
    if (found := GO_TOOLS / program).is_file():
        return found
    reason = f"{program} was not built: it needs 'go' on this machine; then run tests/setup.sh"
    if shutil.which("go") is None:
        pytest.skip(reason)
    return _missing(reason)


def root(why: str) -> None:
    """Goes on only as root."""
    if os.geteuid() != 0:
        pytest.skip(f"needs root: {why}")


def _missing(reason: str) -> NoReturn:
    # A CI run that quietly tests less than it says is worse than one that fails.
    if os.environ.get("CI") and os.geteuid() == 0:
        pytest.fail(f"{reason} (a skip elsewhere, a failure in CI)", pytrace=False)
    pytest.skip(reason)
