"""Server processes and commands: started, watched, and never left behind."""

import sys
import time
from pathlib import Path

import pytest

from tests.servers.command import CommandFailed, run
from tests.servers.process import Process, ServerFailed

# Starts a child of its own and sleeps; both would outlive a careless parent.
_SERVER = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
time.sleep(600)
"""


def server(tmp_path: Path, code: str = _SERVER) -> Process:
    """A server that was not started yet."""
    return Process("test server", [sys.executable, "-c", code], log=tmp_path / "server.log")


def ends(pid: int) -> bool:
    """Whether a process that was killed is gone soon; one that only waits to be collected is."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


def test_stop_ends_the_whole_group(tmp_path: Path) -> None:
    """A child that its parent forgets ends as well."""
    process = server(tmp_path)
    process.start()
    process.wait_ready(lambda: "child" in process.tail())
    child = int(process.tail().split()[1])
    process.stop()
    assert not process.running
    assert ends(child)


def test_a_server_that_ends_early_is_not_waited_for(tmp_path: Path) -> None:
    """The error shows what it printed."""
    process = server(tmp_path, "raise SystemExit('the port is taken')")
    process.start()
    with pytest.raises(ServerFailed, match="the port is taken"):
        process.wait_ready(lambda: False)
    assert process.exit_code == 1


def test_the_log_begins_anew_with_every_test(tmp_path: Path) -> None:
    """Of what was printed before the page was turned, nothing is shown."""
    process = server(tmp_path, "print('hello')")
    process.start()
    process.wait_exit()
    assert process.tail() == "hello"
    process.turn_page()
    assert process.tail() == ""
    process.start()
    process.wait_exit()
    assert process.tail() == "hello"


def test_a_command_that_fails_shows_all_of_itself() -> None:
    """Exit code and output are in the error; `ok=False` gives them as a value."""
    script = "echo out; echo err >&2; exit 3"
    with pytest.raises(CommandFailed, match=r"(?s)exit code 3.*out.*err"):
        run("sh", "-c", script)
    finished = run("sh", "-c", script, ok=False)
    assert (finished.code, finished.out, finished.err) == (3, "out\n", "err\n")


def test_a_command_that_does_not_end_is_killed(tmp_path: Path) -> None:
    """With its children."""
    pid_file = tmp_path / "pid"
    with pytest.raises(CommandFailed, match="still ran"):
        run("sh", "-c", f"sleep 600 & echo $! > {pid_file}; wait", timeout=2)
    assert ends(int(pid_file.read_text()))
