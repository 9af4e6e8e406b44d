"""Runs a client program to its end, with its output kept for the assertions and for the report."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class CommandFailed(AssertionError):
    """A command ended otherwise than the test expects; the message carries all that it printed."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command that has ended left behind."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, parsed."""
        return json.loads(self.out)

    def __str__(self) -> str:
        return f"$ {shlex.join(self.argv)}\nexit code {self.code}\n{self.out}{self.err}"


def run(
    *argv: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    timeout: float = 100,
    ok: bool = True,
    cwd: Path | None = None,
) -> Finished:
    """Runs a command to its end.

    `env` is added to the test's own environment; `timeout` is in seconds; with `ok` anything but exit
    code 0 raises CommandFailed.
    """
    words = tuple(str(part) for part in argv)
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    with process:
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            _kill(process)
            out, err = process.communicate()
            raise CommandFailed(f"$ {shlex.join(words)}\nstill ran after {timeout:g} s\n{out}{err}") from None
        except BaseException:
            _kill(process)
            raise
    finished = Finished(words, process.returncode, out, err)
    if ok and finished.code != 0:
        raise CommandFailed(str(finished))
    return finished


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
