"""Server processes that tests start: each in a process group of its own, its log kept, ended by its id."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from weakref import WeakSet

# For reports of failed tests: what every process that was started had to say.
started: "WeakSet[Process]" = WeakSet()


class ServerFailed(AssertionError):
    """A server ended early or did not become ready; the message carries the end of its log."""


class Process:
    """One server process; ends with the test run at the latest, whatever becomes of that."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ):
        self.name = name
        self.log = log
        self._argv = [str(part) for part in argv]
        self._env = dict(env) if env is not None else None
        self._cwd = cwd
        # Where in the log the test that is being run begins.
        self._page = 0
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts the process; its standard output and error go to the end of the log."""
        # The kernel sends the signal of --pdeathsig when the starting *thread* ends.
        assert threading.current_thread() is threading.main_thread(), "start servers on the main thread"
        assert not self.running, f"{self.name} runs already"
        tied = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(
                [*tied, *self._argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                cwd=self._cwd,
                start_new_session=True,
            )
        started.add(self)

    @property
    def pid(self) -> int:
        assert self._popen is not None, f"{self.name} was not started"
        return self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs or before it was started."""
        return self._popen.poll() if self._popen is not None else None

    def wait_ready(self, ready: Callable[[], bool], *, timeout: float = 60) -> None:
        """Waits until `ready` says so; ServerFailed when the process ends first, or after `timeout` s."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.running:
                raise ServerFailed(
                    f"{self.name} ended with {self.exit_code} before it was ready:\n{self.tail()}"
                )
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} was not ready within {timeout:g} s:\n{self.tail()}")
            time.sleep(0.05)

    def wait_exit(self, *, timeout: float = 60) -> int:
        """Waits until the process has ended by itself and gives its exit code."""
        assert self._popen is not None
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"{self.name} still runs after {timeout:g} s:\n{self.tail()}") from None

    def stop(self, *, timeout: float = 30) -> int | None:
        """Asks the process to end, waits, and kills whatever is left of its group."""
        if self._popen is None:
            return None
        if self.running:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)
        return self.kill()

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process."""
        os.kill(self.pid, number)

    def kill(self) -> int:
        """Kills the whole process group at once (SIGKILL) and gives the exit code."""
        assert self._popen is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        return self._popen.wait()

    def turn_page(self) -> None:
        """Has `tail` leave out all that is in the log so far."""
        self._page = self.log.stat().st_size if self.log.exists() else 0

    def tail(self, lines: int = 60) -> str:
        """The last lines of the log since the page was turned."""
        text = self.log.read_bytes()[self._page :] if self.log.exists() else b""
        return "\n".join(text.decode(errors="replace").splitlines()[-lines:])
