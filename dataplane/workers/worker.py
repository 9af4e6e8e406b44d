"""One worker as its supervisor sees it: a process that is started, spoken to, and ended."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Self

from prometheus_client.core import Metric

from dataplane.events.parcels import Parcel
from dataplane.workers.channel import Channel, Message
from dataplane.workers.questions import Questions
from dataplane.workers.share import Share
from dataplane.workers.stacks import REQUEST, Stacks
from dataplane.workers.sums import unpack

# What a worker says to others.
_FOR_OTHERS: Final = frozenset({"configuration", "resolved", "trouble"})
# Seconds that a worker may take to give a report; one that is busy is left out of it.
_PATIENCE: Final = 2.0
# Seconds that one which hangs has to tell what it is doing.
_LAST_WORDS: Final = 0.5


class Worker:
    """A running worker process; `run` it until it ends."""

    def __init__(
        self,
        process: Process,
        channel: Channel,
        stacks: Stacks,
        ready: Callable[[], None],
        told: Callable[[dict[str, Any]], None],
        noted: Callable[[Parcel], None],
    ) -> None:
        self._process = process
        self._channel = channel
        self._stacks = stacks
        self.questions = Questions(channel.send)
        """What it is asked."""
        self._reported = asyncio.Event()
        self._ready = ready
        self._told = told
        self._noted = noted
        self.serves = False
        """Whether clients are served by it."""
        self.failure = ""
        """Why it cannot work as it is set up."""
        self.revision = 0
        """Revision of the configuration that it runs; 0 before it has one."""
        self.readiness: dict[str, Any] = {}
        self.metrics: list[Metric] = []
        """What it reported last."""

    @classmethod
    async def start(
        cls,
        share: Share,
        shared: Sequence[int],
        ready: Callable[[], None],
        told: Callable[[dict[str, Any]], None],
        noted: Callable[[Parcel], None],
    ) -> Self:
        """Start a process, which ends with this one; raises OSError.

        It inherits the `shared` descriptors. `ready` is called once it serves, `told` with what it says to
        the others, `noted` with what it noted of requests.

        It shares nothing with this process but its output and the channel: libraries that keep threads,
        gRPC above all, do not survive a mere fork.
        """
        here, there = socket.socketpair()
        stacks = Stacks.create()
        inherited = (there.fileno(), stacks.fileno(), *shared)
        with there:
            try:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "dataplane", "--worker", str(share)),
                    *map(str, inherited),
                    stdin=DEVNULL,
                    pass_fds=inherited,
                    # Ctrl-C at the terminal reaches the supervisor alone, which then ends workers in order.
                    process_group=0,
                )
            except BaseException:
                here.close()
                stacks.close()
                raise
        return cls(process, await Channel.of(here), stacks, ready, told, noted)

    async def run(self) -> str:
        """Listen to it until it ends; tells how it came to its end."""
        try:
            async for message in self._channel.received():
                self._take(message)
            return _describe(await self._process.wait())
        finally:
            self._reported.set()
            self.questions.end()
            await self._channel.close()
            self._stacks.close()

    async def report(self) -> bool:
        """Have it report; False where it does not in time, and what it reported last stays."""
        self._reported.clear()
        self._channel.send({})
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._reported.wait()
        except TimeoutError:
            return False
        return True

    def tell(self, message: Message) -> bool:
        """Tell it what another worker says; False where it does not listen."""
        return self._channel.send(message)

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def hurry(self) -> None:
        """Ask one that was asked to end to cut what it still waits for."""
        self._channel.send({"hurry": True})

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    async def end_hanging(self) -> str:
        """End it, which hangs; gives what its threads were doing, empty where it could not tell."""
        self._signal(REQUEST)
        await asyncio.sleep(_LAST_WORDS)
        stacks = self._stacks.read()
        self.kill()
        return stacks

    def _take(self, message: Message) -> None:
        if isinstance(message, Parcel):
            self._noted(message)
        elif "failure" in message:
            self.failure = str(message["failure"])
        elif "ready" in message:
            self.serves = True
            self._ready()
        elif not message.keys().isdisjoint(_FOR_OTHERS):
            self.revision = message.get("configuration", {}).get("revision", self.revision)
            self._told(message)
        elif "answer" in message:
            self.questions.answered(message["answer"])
        else:
            self.readiness = message["readiness"]
            self.metrics = unpack(message["metrics"])
            self._reported.set()

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            # The kernel may not know it any more, which is heard of later.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


def _describe(code: int) -> str:
    return f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
