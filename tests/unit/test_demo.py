"""The demonstration runs with what running Penstock needs, and without the packages of the tests."""

import re
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_PROGRAM = """
import importlib.metadata, sys
before = set(sys.modules)
import tests.demo, tests.fakes.registry
owners = importlib.metadata.packages_distributions()
print(*{owner for name in set(sys.modules) - before for owner in owners.get(name.partition(".")[0], ())})
"""


def test_it_imports_nothing_that_only_tests_need() -> None:
    """`make demo` sets up no more than `make run` does: its lock file names all that is imported."""
    locked = re.findall(r"^([\w.-]+)==", (_ROOT / "requirements.lock").read_text(), re.MULTILINE)
    shown = subprocess.run(
        [sys.executable, "-c", _PROGRAM], cwd=_ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert {_plain(name) for name in shown.stdout.split()} <= {_plain(name) for name in [*locked, "penstock"]}


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
