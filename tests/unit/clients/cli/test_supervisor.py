"""The supervisor, with tiny stand-ins for the planes."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from clients.cli.child import start
from clients.cli.supervisor import Plane, Supervisor, Timing
from clients.process.listen import Address

NOWHERE = Address("127.0.0.1", 1)
QUICK = Timing(pauses=(0.01, 0.02), settled=60.0, grace=20.0)
SLEEPER = "echo $$ >> {name}.pids; exec sleep 600"


async def _ready(address: Address) -> bool:
    return True


async def _never(address: Address) -> bool:
    return False


class Run:
    """A supervisor at work, in the current directory."""

    def __init__(self, *scripts: tuple[str, str], ready=_ready, timing: Timing = QUICK) -> None:
        planes = [
            Plane(name, ("/bin/sh", "-c", script.format(name=name)), NOWHERE) for name, script in scripts
        ]
        self.said: list[str] = []
        self.announced = asyncio.Event()
        self.stopping = asyncio.Event()
        self.hurry = asyncio.Event()
        supervisor = Supervisor(planes, dict(os.environ), self.said.append, timing, ready)
        self.task = asyncio.create_task(supervisor.run(self.announced.set, self.stopping, self.hurry))

    async def stop(self) -> int:
        self.stopping.set()
        return await self.task


def trace(name: str) -> list[str]:
    """What the stand-ins wrote into this file."""
    path = Path(name)
    return path.read_text().split() if path.exists() else []


async def pids(name: str, count: int) -> list[int]:
    """Wait until the plane was started this many times, and give all its process ids."""
    while True:
        found = [int(line) for line in trace(f"{name}.pids")]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Stand-ins leave their traces in a directory of the test."""
    monkeypatch.chdir(tmp_path)


async def test_all_run_until_told_to_stop():
    """Both start, it is announced once, and both are gone afterwards."""
    run = Run(("first", SLEEPER), ("second", SLEEPER))
    await run.announced.wait()
    started = [*await pids("first", 1), *await pids("second", 1)]
    assert all(alive(pid) for pid in started)
    assert await run.stop() == 0
    assert not any(alive(pid) for pid in started)
    assert run.said == []


async def test_the_later_ones_end_first():
    """The data plane may still need the control plane while it drains."""
    script = "trap 'echo {name} >> ended; exit 0' TERM; echo $$ >> {name}.pids; while :; do sleep 0.05; done"
    run = Run(("first", script), ("second", script))
    await pids("first", 1)
    await pids("second", 1)
    assert await run.stop() == 0
    assert trace("ended") == ["second", "first"]


async def test_one_that_crashes_starts_again():
    """However often, with a sentence each time, and the other one is left alone."""
    run = Run(("first", SLEEPER), ("second", SLEEPER))
    await run.announced.wait()
    for count in (1, 2, 3):
        os.kill((await pids("second", count))[-1], signal.SIGKILL)
    await pids("second", 4)
    assert len(await pids("first", 1)) == 1
    await run.stop()
    assert [sentence for sentence in run.said if "SIGKILL" in sentence] == [
        "The second ended by SIGKILL; it starts again in 0.01 s.",
        "The second ended by SIGKILL; it starts again in 0.02 s.",
        "The second ended by SIGKILL; it starts again in 0.02 s.",
    ]


async def test_one_that_cannot_be_started_again_yet(monkeypatch):
    """Want of memory passes: it is tried again like one that crashes, and the other one is left alone."""
    run = Run(("first", SLEEPER), ("second", SLEEPER))
    await run.announced.wait()
    (pid,) = await pids("second", 1)
    failures = [OSError(errno.ENOMEM, "Cannot allocate memory")] * 2

    async def short(*arguments):
        if failures:
            raise failures.pop()
        return await start(*arguments)

    monkeypatch.setattr("clients.cli.supervisor.start", short)
    os.kill(pid, signal.SIGKILL)
    again = asyncio.create_task(pids("second", 2))
    await asyncio.wait((again, run.task), return_when=asyncio.FIRST_COMPLETED)
    again.cancel()
    assert not run.task.done()
    assert len(await pids("first", 1)) == 1
    assert await run.stop() == 0
    assert (
        run.said[1:]
        == ["The second cannot be started (cannot allocate memory); it starts again in 0.02 s."] * 2
    )


async def test_a_wrong_configuration_ends_everything():
    """Its exit code is the supervisor's, and nobody is left."""
    script = "[ -e second.pids ] && exit 78; " + SLEEPER
    run = Run(("first", SLEEPER), ("second", script))
    await run.announced.wait()
    os.kill((await pids("second", 1))[0], signal.SIGKILL)
    assert await run.task == 78
    assert not alive((await pids("first", 1))[0])


async def test_a_wrong_configuration_at_the_start():
    """The next one is not even started, and nothing is announced."""
    run = Run(("first", "exit 78"), ("second", SLEEPER), ready=_never)
    assert await run.task == 78
    assert not run.announced.is_set()
    assert trace("second.pids") == []
    assert run.said == []


async def test_one_that_was_never_ready_does_not_start_again():
    """What is broken from the start is not tried for ever."""
    run = Run(("first", "echo x >> first.tries; exit 3"), ready=_never)
    assert await run.task == 3
    assert trace("first.tries") == ["x"]
    assert "exit code 3" in run.said[0]


async def test_one_that_is_killed_before_it_was_ready():
    """A signal is no exit code: the supervisor's is 1."""
    run = Run(("first", "kill -9 $$"), ready=_never)
    assert await run.task == 1
    assert "SIGKILL" in run.said[0]


async def test_stopping_before_all_are_ready():
    """Ctrl-C during the start ends what was started."""
    run = Run(("first", SLEEPER), ("second", SLEEPER), ready=_never)
    (pid,) = await pids("first", 1)
    assert await run.stop() == 0
    assert not alive(pid)
    assert trace("second.pids") == []


async def test_hurry_kills():
    """Somebody who presses Ctrl-C twice does not wait for what ignores SIGTERM."""
    run = Run(("first", "trap '' TERM; echo $$ >> first.pids; while :; do sleep 0.05; done"))
    (pid,) = await pids("first", 1)
    run.stopping.set()
    run.hurry.set()
    assert await run.task == 0
    assert not alive(pid)
    assert "was killed" in run.said[0]


def test_children_die_with_their_parent(tmp_path):
    """A supervisor that is killed leaves nobody behind."""
    code = textwrap.dedent(
        """
        import asyncio, os
        from clients.cli.child import start
        async def main():
            process = await start(("/bin/sleep", "600"), os.environ)
            print(process.pid, flush=True)
            os.kill(os.getpid(), 9)
        asyncio.run(main())
        """
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    child = int(done.stdout)
    while alive(child):
        time.sleep(0.01)
