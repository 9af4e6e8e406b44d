"""A data-plane node: everything it is made of, put together, started and stopped."""

import asyncio
import logging
import socket
from contextlib import AsyncExitStack, suppress
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from clients.control.client import ControlClient
from clients.oci.digest import Digest
from clients.oci.transport import Transport
from clients.process.listen import Address, bind
from clients.process.place import NODE_TOKEN_FILE, prepare, read_secret
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.files import FileStore
from dataplane.blobs.measures import Measures
from dataplane.config.configuration import ArtifactEntry
from dataplane.config.saved import SavedConfiguration
from dataplane.config.state import ConfigState
from dataplane.config.watch import ConfigWatch
from dataplane.http.errors import Code, Refusal
from dataplane.http.message import Answer, Request
from dataplane.http.metrics import Metrics
from dataplane.http.node_port import NodePort
from dataplane.http.registry import Registry
from dataplane.http.server import Server
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.disk import Disk
from dataplane.resolve.lookups import Lookups
from dataplane.resolve.manifests import Manifests
from dataplane.resolve.members import Members
from dataplane.resolve.shelf import Shelf
from dataplane.resolve.tags import TagLists
from dataplane.resolve.upstream import Grants, UpstreamBlob
from dataplane.settings import Settings

_LOG = logging.getLogger(__name__)

_TOKEN_POLL: Final = 0.25


class Node:
    """One node; an async context manager that serves from entry to exit.

    Until it has a configuration it answers 503. Entry raises ConfigurationError where the machine is
    not as the settings say; exit lets transfers finish for up to the drain time-out.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stack = AsyncExitStack()
        self._registry: Registry | None = None
        self._following: asyncio.Task[None] | None = None
        self._version = version("penstock")
        self.state = ConfigState()
        self._lookups = Lookups()
        self._measures = Measures()
        self._registry_server = Server(self._answer, lambda size: self._metrics.sent(size))
        self._metrics = Metrics(
            self.state, self._lookups, self._measures, lambda: self._registry_server.active, self._version
        )
        self._node_port = NodePort(self.state, self._metrics.exposition)
        self._node_server = Server(self._node_port.answer)
        self.registry_address = ""
        """`host:port` that the registry listens on."""
        self.node_address = ""
        """`host:port` of health and metrics."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, and start to follow the control plane; see the class."""
        async with AsyncExitStack() as stack:
            await self._start(stack)
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stop accepting, let transfers finish for up to the drain time-out, and end everything."""
        self._node_port.draining = True
        await self._stack.aclose()

    async def hurry(self) -> None:
        """Cut the transfers that a stopping node still waits for."""
        await self._registry_server.cut()

    async def failed(self) -> None:
        """Wait for what makes the node unable to go on, and raise it."""
        assert self._following is not None  # noqa: S101 - only after start
        await asyncio.shield(self._following)

    async def _start(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        # First of all: a node whose port is taken must not touch what another one is working with.
        registry_sockets = _bind(settings.registry_listen, "PENSTOCK_REGISTRY_LISTEN", stack)
        node_sockets = _bind(settings.node_listen, "PENSTOCK_NODE_LISTEN", stack)
        self.registry_address, self.node_address = _name(registry_sockets), _name(node_sockets)
        data_dir = await asyncio.to_thread(prepare, settings.data_dir)
        blobs = settings.blob_directory(data_dir)
        disk = Disk(data_dir / "node" / "resolved", settings.manifest_disk_max_bytes)
        await asyncio.to_thread(disk.prepare)
        cache = BlobCache(
            FileStore(blobs),
            blobs / "spool",
            max_bytes=settings.cache_max_bytes or None,
            measures=self._measures,
        )
        # What is pushed later ends earlier: health and metrics last.
        self._node_server.start(node_sockets)
        stack.push_async_callback(self._node_server.stop, 0)
        self._following = asyncio.create_task(self._follow(data_dir, disk, cache), name="node")
        stack.push_async_callback(_cancel, self._following)
        stack.push_async_callback(cache.stop)
        await cache.start()
        self._registry_server.start(registry_sockets)
        stack.push_async_callback(self._registry_server.stop, settings.drain_timeout.total_seconds())

    async def _follow(self, data_dir: Path, disk: Disk, cache: BlobCache) -> None:
        settings = self._settings
        address = Address.parse(settings.address, "PENSTOCK_ADDRESS")
        token = settings.node_token.get_secret_value() or await _wait_for_token(data_dir / NODE_TOKEN_FILE)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(ControlClient(str(address), token))
            transport = await stack.enter_async_context(Transport(allow_private=False))
            control = ControlPlane(client.nodes)
            grants = Grants(control)
            shelf = Shelf(disk)
            half = settings.manifest_memory_max_bytes // 2
            members = Members(control, shelf, half // 2)
            manifests = Manifests(control, shelf, members, self._lookups, half)
            tag_lists = TagLists(control, disk, half // 2)
            for part in (grants, members, manifests, tag_lists):
                stack.push_async_callback(part.stop)

            def source(artifact: ArtifactEntry, digest: Digest) -> UpstreamBlob:
                return UpstreamBlob(grants, transport, artifact, digest)

            saved = SavedConfiguration(data_dir / "node" / "configuration.pb")
            watch = ConfigWatch(client.nodes, self.state, saved, self._version)
            await asyncio.to_thread(watch.start_from_saved)
            self._registry = Registry(
                self.state, manifests, members, tag_lists, cache, source, self._metrics.count
            )
            await watch.run()

    async def _answer(self, request: Request) -> Answer:
        if self._registry is None:
            return Refusal(Code.UNAVAILABLE, "This node is not connected to its control plane yet.").answer()
        return await self._registry.answer(request)


async def _wait_for_token(path: Path) -> str:
    told = False
    while True:
        with suppress(FileNotFoundError):
            return await asyncio.to_thread(read_secret, path)
        if not told:
            _LOG.warning(
                "This node waits for its token: set PENSTOCK_NODE_TOKEN to what `penstock nodes create` "
                "printed, or let the control plane write %s.",
                path,
            )
            told = True
        await asyncio.sleep(_TOKEN_POLL)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _bind(address: str, setting: str, stack: AsyncExitStack) -> list[socket.socket]:
    sockets = bind(Address.parse(address, setting), setting)
    for listener in sockets:
        stack.callback(listener.close)
    return sockets


def _name(sockets: list[socket.socket]) -> str:
    host, port = sockets[0].getsockname()[:2]
    return str(Address(host, port))
