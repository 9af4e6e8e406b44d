"""A child process that does not outlive its parent."""

import asyncio
import ctypes
import os
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


async def start(command: Sequence[str], environment: Mapping[str, str]) -> Process:
    """Start a command that shares this process's output, and is killed when this process dies.

    It is in a process group of its own, so that Ctrl-C at the terminal reaches the parent alone, which
    then ends it in order. Raises OSError where the command cannot be run.
    """
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL,
        env=environment,
        process_group=0,
        preexec_fn=_tied_to(os.getpid()),
    )


async def stop(process: Process, grace: float, hurry: asyncio.Event) -> bool:
    """End a process: SIGTERM, and SIGKILL after `grace` seconds or when told to hurry.

    Gives whether it ended by itself.
    """
    if process.returncode is not None:
        return True
    process.terminate()
    ended = asyncio.ensure_future(process.wait())
    hurried = asyncio.ensure_future(hurry.wait())
    try:
        await asyncio.wait((ended, hurried), timeout=grace, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hurried.cancel()
        if not ended.done():
            process.kill()
    in_time = ended.done()
    await ended
    return in_time


def describe(code: int) -> str:
    """Give a return code of `Process` in words: `with exit code 1`, `by SIGKILL`."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"


def _tied_to(parent: int) -> Callable[[], None]:
    # Everything that needs memory or locks happens before the fork.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = (ctypes.c_int, ctypes.c_ulong)

    def tie() -> None:
        # SIGKILL: a supervisor that was killed leaves nobody behind who still holds its ports. Both
        # planes are made to be killed at any moment.
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # The parent died before the call above could take notice.
            os._exit(1)

    return tie
