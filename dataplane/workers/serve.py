"""What a worker process does: serve, and tell its supervisor."""

import asyncio
import ctypes
import logging
import signal
import socket
from collections.abc import Sequence
from typing import Any, Final

from clients.process.exits import ConfigurationError, Exit
from dataplane.config.board import Board
from dataplane.events.parcels import Parcel
from dataplane.http.clocks import Clocks
from dataplane.http.message import Request
from dataplane.node import Node
from dataplane.run import run
from dataplane.settings import Settings
from dataplane.signals import Signals
from dataplane.workers.channel import Channel
from dataplane.workers.crew import Crew
from dataplane.workers.loads import Loads
from dataplane.workers.neighbours import Neighbours
from dataplane.workers.share import Share
from dataplane.workers.stacks import Stacks
from dataplane.workers.watchdog import stir

_LOG = logging.getLogger(__name__)

_PR_SET_PDEATHSIG: Final = 1


def tie() -> None:
    """Have the kernel kill this process when its supervisor dies, so that nobody is left with its port."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def serve(settings: Settings, share: Share, descriptor: int, shared: Sequence[int]) -> int:
    """Be a worker, whose supervisor is at the other end of this socket; gives the exit code.

    `shared` are the descriptors of where its stacks go, of what the node's workers share (board, clocks,
    loads, and doors), and of what this worker listens on.
    """
    stacks, board, clocks, loads_of_all, *sockets = shared
    Stacks(stacks).write_on_request()
    loads = Loads(loads_of_all, share.count)
    inner, *others = (socket.socket(fileno=each) for each in sockets)
    outer, listening = others[: share.count], others[share.count :]
    for listener in listening:
        listener.settimeout(0)
    channel = await Channel.of(socket.socket(fileno=descriptor))
    # Whoever tells all processes of a node tells its supervisor as well, which tells them once more.
    signals = Signals(once=True)

    def tell(what: str, said: object = True) -> None:
        channel.send({what: said})

    tasks = [asyncio.create_task(stir(loads, share.index))]
    try:
        crew = Crew(
            share,
            Board(board),
            listening,
            Clocks(clocks),
            Neighbours(share, loads, inner, outer),
            lambda message: tell("configuration", message),
            lambda sentence: tell("trouble", sentence),
            lambda artifact_uid, digest: tell("resolved", [artifact_uid, str(digest)]),
            hand_over=channel.send,
        )
        node = Node(settings, crew=crew)
        tasks.append(asyncio.create_task(_listen(channel, node, crew, signals)))
        await run(node, signals, lambda: tell("ready"))
        channel.send(node.report())
    except ConfigurationError as error:
        # The supervisor says it, once for all workers.
        channel.send({"failure": str(error)})
        return Exit.CONFIGURATION
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await channel.close()
    return Exit.OK


async def _listen(channel: Channel, node: Node, crew: Crew, signals: Signals) -> None:
    channel.send(node.report())
    async with asyncio.TaskGroup() as answering:
        async for message in channel.received():
            if isinstance(message, Parcel):
                crew.noted.put(message.records())
            elif "configuration" in message:
                crew.received.put_nowait(message["configuration"])
            elif "trouble" in message:
                node.hear_trouble(message["trouble"])
            elif "resolved" in message:
                node.hear_resolved(*message["resolved"])
            elif "alone" in message:
                crew.alone.set()
            elif "hurry" in message:
                signals.second.set()
            elif "question" in message:
                # Reports do not wait for it.
                answering.create_task(_answer(channel, node, **message["question"]))
            else:
                channel.send(node.report())
        # The supervisor died: what this worker does cannot be seen or stopped any more.
        signals.receive()
        signals.receive()


async def _answer(channel: Channel, node: Node, number: int, **request: Any) -> None:
    body = None
    try:
        body = await node.cached(Request("GET", **request))
    except Exception:  # noqa: BLE001 - one question must not end the worker
        _LOG.exception("What the cache has of an image could not be told.")
    channel.send({"answer": {"number": number, "body": None if body is None else body.decode()}})
