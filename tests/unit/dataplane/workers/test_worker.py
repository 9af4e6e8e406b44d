"""A worker as its supervisor sees it."""

import asyncio
import socket
import time
from pathlib import Path

from dataplane.workers.channel import Channel
from dataplane.workers.stacks import Stacks
from dataplane.workers.worker import Worker


async def test_one_that_ended_this_moment_can_be_told_to_end() -> None:
    """The kernel does not know it any more, its supervisor not yet: all others are told all the same."""
    process = await asyncio.create_subprocess_exec("true")
    here, there = socket.socketpair()
    worker = Worker(
        process, await Channel.of(here), Stacks.create(), lambda: None, lambda _: None, lambda _: None
    )
    while Path(f"/proc/{process.pid}").exists():  # noqa: ASYNC240 - nothing else is to run meanwhile
        time.sleep(0.001)  # noqa: ASYNC251 - see above
    worker.terminate()
    worker.kill()
    there.close()
    assert await worker.run() == "with exit code 0"
