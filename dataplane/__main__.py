"""`penstock dataplane`: runs a node until SIGTERM or SIGINT; exits with a code of `clients.process.exits`."""

import asyncio
import logging
import os
import resource
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from clients.process import log, tracing
from clients.process.exits import ConfigurationError, Exit
from clients.process.listen import Address, bind
from clients.process.redact import redact
from clients.process.scraping import ScrapeToken
from clients.process.unknown_settings import warn_of_unknown
from dataplane.http.listening import name_of
from dataplane.http.node_port import NodePort
from dataplane.http.server import Server
from dataplane.place import prepare_data_dir
from dataplane.settings import Settings
from dataplane.signals import Signals
from dataplane.workers.reserve import reserve
from dataplane.workers.share import Share, cores
from dataplane.workers.supervisor import Supervisor

_LOG = logging.getLogger(__name__)


def main(arguments: list[str]) -> int:
    """Run a node, or one worker of it (`--worker <index>/<count> <descriptors>`); gives the exit code."""
    try:
        settings = Settings.load()
        log.configure(settings.log_level, settings.log_format)
        _raise_file_limit()
        tracing.check(settings.tracing_endpoint)
        count = settings.workers or cores()
        match arguments:
            case ["--worker", share, channel, *shared]:
                work = _work(settings, Share.parse(share), int(channel), [int(each) for each in shared])
                return _trace_and_run(settings, work)
            case [] if count == 1:
                warn(settings)
                return _trace_and_run(settings, _serve(settings))
            case []:
                warn(settings)
                # uvloop cannot give a process a group of its own.
                return _run(_supervise(settings, count), asyncio.new_event_loop)
            case _:
                print("A node takes no arguments: its settings are environment variables.", file=sys.stderr)
                return Exit.USAGE
    except ConfigurationError as error:
        print(redact(str(error)), file=sys.stderr)
        return Exit.CONFIGURATION


def warn(settings: Settings) -> None:
    """Say once for the whole node what is not as it should be."""
    warn_of_unknown(os.environ)
    for warning in settings.exposed:
        _LOG.warning("%s", warning)


def _trace_and_run(settings: Settings, work: Coroutine[Any, Any, int]) -> int:
    tracing.configure(settings.tracing_endpoint, "penstock-node")
    try:
        return _run(work, uvloop.new_event_loop)
    finally:
        tracing.stop()


def _run(work: Coroutine[Any, Any, int], loop: Callable[[], asyncio.AbstractEventLoop]) -> int:
    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work)


# What serves is imported where it is used: a supervisor stays small.


async def _work(settings: Settings, share: Share, channel: int, shared: list[int]) -> int:
    from dataplane.workers.serve import serve, tie  # noqa: PLC0415

    tie()
    return await serve(settings, share, channel, shared)


async def _serve(settings: Settings) -> int:
    from dataplane.node import Node  # noqa: PLC0415
    from dataplane.run import run  # noqa: PLC0415
    from dataplane.workers.lonely import watched  # noqa: PLC0415

    node = Node(settings)
    async with watched(settings.worker_timeout.total_seconds()):
        await run(node, Signals(), lambda: _announce(node.registry_address, node.node_address))
    return Exit.OK


async def _supervise(settings: Settings, count: int) -> int:
    signals = Signals()
    async with AsyncExitStack() as stack:
        address = Address.parse(settings.registry_listen, "PENSTOCK_REGISTRY_LISTEN")
        queues = reserve(address, count, stack)
        registry = name_of(queues[0])
        listeners = bind(Address.parse(settings.node_listen, "PENSTOCK_NODE_LISTEN"), "PENSTOCK_NODE_LISTEN")
        node = Address(*listeners[0].getsockname()[:2])
        supervisor = Supervisor(
            queues,
            settings.drain_timeout.total_seconds(),
            settings.worker_timeout.total_seconds(),
        )
        token = ScrapeToken(settings.metrics_token.get_secret_value())
        port = NodePort(supervisor.readiness, supervisor.exposition, supervisor.cached, token)
        server = Server(port.answer)
        server.start(listeners)
        stack.push_async_callback(server.stop, 0)
        prepare_data_dir(settings.data_dir)
        return await supervisor.run(lambda: _announce(registry, str(node)), signals.first, signals.second)


def _announce(registry: str, node: str) -> None:
    """Print the one line that says where things are."""
    print(f"penstock dataplane is ready: registry at {registry}, health and metrics at {node}", flush=True)


def _raise_file_limit() -> None:
    """Allow as many connections as the system lets this user have; the usual limit is for a terminal."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
