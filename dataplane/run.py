"""Runs a node in this process until it is told to stop."""

import asyncio
from collections.abc import Callable

from clients.process.lasting import settle
from dataplane.node import Node
from dataplane.signals import Signals


async def run(node: Node, signals: Signals, announce: Callable[[], None]) -> None:
    """Serve until a signal, or until the node fails, and raise why; `announce` once clients are served."""
    await node.start()
    try:
        await _serve(node, signals.first, announce)
    finally:
        await _stop(node, signals.second)


async def _serve(node: Node, stop: asyncio.Event, announce: Callable[[], None]) -> None:
    announcing = asyncio.create_task(_announce(node, announce))
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


async def _announce(node: Node, announce: Callable[[], None]) -> None:
    await node.state.first()
    settle()
    announce()


async def _stop(node: Node, at_once: asyncio.Event) -> None:
    """Let the node drain; cut what it waits for at the event."""
    stopping = asyncio.create_task(node.stop())
    hurrying = asyncio.create_task(at_once.wait())
    await asyncio.wait({stopping, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    if hurrying.done():
        await node.hurry()
    hurrying.cancel()
    await stopping
