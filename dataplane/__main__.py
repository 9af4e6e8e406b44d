"""`penstock dataplane`: runs a node until SIGTERM or SIGINT; exits with a code of `clients.process.exits`."""

import asyncio
import signal
import sys

import uvloop

from clients.process import log
from clients.process.exits import ConfigurationError, Exit
from dataplane.node import Node
from dataplane.settings import Settings


def main() -> int:
    """Run a node; gives the exit code."""
    try:
        settings = Settings.load()
        log.configure(settings.log_level, settings.log_format)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_run(settings))
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return Exit.CONFIGURATION
    return Exit.OK


async def _run(settings: Settings) -> None:
    signals = _Signals()
    node = Node(settings)
    await node.start()
    try:
        await _serve(node, signals.first)
    finally:
        await _stop(node, signals.second)


async def _serve(node: Node, stop: asyncio.Event) -> None:
    """Serve until the event, or until the node fails, and raise why."""
    announcing = asyncio.create_task(_announce(node))
    failing = asyncio.create_task(node.failed())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({failing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            await failing
    finally:
        for task in (announcing, failing, stopping):
            task.cancel()
        await asyncio.gather(announcing, failing, stopping, return_exceptions=True)


async def _stop(node: Node, at_once: asyncio.Event) -> None:
    """Let the node drain; cut what it waits for at the event."""
    stopping = asyncio.create_task(node.stop())
    hurrying = asyncio.create_task(at_once.wait())
    await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    if hurrying.done():
        await node.hurry()
    hurrying.cancel()
    await stopping


async def _announce(node: Node) -> None:
    """Print the one line that says where things are, once clients are served."""
    await node.state.first()
    print(
        f"penstock dataplane is ready: registry at {node.registry_address},"
        f" health and metrics at {node.node_address}",
        flush=True,
    )


class _Signals:
    """SIGTERM or SIGINT: the first asks to stop, the second to stop at once."""

    def __init__(self) -> None:
        self.first = asyncio.Event()
        self.second = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._receive)

    def _receive(self) -> None:
        if self.first.is_set():
            self.second.set()
        self.first.set()


if __name__ == "__main__":
    sys.exit(main())
