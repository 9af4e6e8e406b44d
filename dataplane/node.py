"""A data-plane node: everything it is made of, put together, started and stopped."""

import asyncio
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from clients.oci.transport import Transport
from clients.process.scraping import ScrapeToken
from dataplane.access.use_report import UseReport
from dataplane.answers import Answers
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.measures import Measures
from dataplane.certificates import certificate_expiry
from dataplane.config.saved import SavedConfiguration
from dataplane.config.state import ConfigState
from dataplane.descriptors import Descriptors
from dataplane.http.clocks import Clocks
from dataplane.http.limits import Hits
from dataplane.http.listening import listen, name_of
from dataplane.http.message import Request
from dataplane.http.metrics import Metrics
from dataplane.http.node_port import NodePort
from dataplane.http.pace import Rates
from dataplane.http.readiness import details
from dataplane.http.server import Server
from dataplane.join import join
from dataplane.place import prepare_data_dir
from dataplane.recording import Recording
from dataplane.resolution import Resolution
from dataplane.resolve.ahead import Ahead
from dataplane.resolve.control import PATIENCE, ControlPlane
from dataplane.resolve.disk import Disk
from dataplane.resolve.lookups import Lookups
from dataplane.resolve.measures import UpstreamMeasures
from dataplane.resolve.pins import Pins
from dataplane.resolve.prefetch import Prefetch
from dataplane.settings import Settings
from dataplane.storage import Storage
from dataplane.workers.crew import Crew
from dataplane.workers.sums import pack

_ALONE: Final = Crew()
# Seconds that clients wait for a worker which has no configuration yet.
_QUEUE: Final = 2.0


class Node:
    """One node; an async context manager that serves from entry to exit.

    Until it has a configuration it answers 503. Entry raises ConfigurationError where the machine is
    not as the settings say; exit lets transfers finish for up to the drain time-out.
    """

    def __init__(
        self,
        settings: Settings,
        patience: float = PATIENCE,
        crew: Crew = _ALONE,
    ) -> None:
        """Describe a node; `patience` is how many seconds a cold request waits for the control plane.

        In a `crew` it is one of the node's workers: others serve beside it on the same port, and the node's
        own port is left to whoever asks it to `report`.
        """
        self._crew = crew
        self._share = crew.share
        self._draining = False
        self._cache: BlobCache | None = None
        self._settings = settings
        self._patience = patience
        self._stack = AsyncExitStack()
        self._following: asyncio.Task[None] | None = None
        self._version = version("penstock")
        self.state = ConfigState()
        self._lookups = Lookups()
        self._measures = Measures()
        self._hits = Hits()
        self._descriptors = Descriptors()
        self._clocks = crew.clocks or (Clocks.create() if settings.rates != Rates() else None)
        served = settings.tls.served() if settings.tls else None
        self._answers = Answers(settings, self.state, self._hits, self._clocks)
        self._registry_server = Server(
            self._answers.answer,
            lambda size: self._metrics.sent(size),
            limits=settings.server_limits,
            hits=self._hits,
            quick=self._answers.quickly if settings.fast_path else None,
            tls=served,
            ids=self._answers.ids,
            traced=True,
            descriptors=self._descriptors,
            others=crew.neighbours,
            proxies=settings.proxies,
            introduced=settings.proxy_protocol,
        )
        self._metrics = Metrics(
            self.state,
            self._lookups,
            self._measures,
            self._hits,
            self._answers.sign_ins.failures,
            self._registry_server,
            self._version,
        )
        self._recording = Recording(settings, crew, lambda: self.state.configuration)
        self._metrics.add(self._recording.measures)
        self._metrics.add(self._descriptors)
        self._metrics.add(certificate_expiry(settings, served))
        self._node_port = NodePort(
            self._readiness,
            self._exposition,
            self.cached,
            ScrapeToken(settings.metrics_token.get_secret_value()),
        )
        self._node_server = Server(self._node_port.answer, descriptors=self._descriptors)
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
        self._draining = True
        await self._stack.aclose()
        if self._clocks is not None:
            self._clocks.close()

    def report(self) -> dict[str, Any]:
        """Give readiness and metrics, as `workers.supervisor` adds them up."""
        trouble = "" if self._cache is None else self._cache.trouble
        readiness = details(
            self.state, draining=self._draining, trouble=trouble, shortage=self._descriptors.trouble
        )
        return {"readiness": readiness, "metrics": pack(self._metrics.collect())}

    async def cached(self, request: Request) -> bytes | None:
        """Say what of an image is on this node; see `http.cached`."""
        return await self._answers.cached(request)

    def hear_resolved(self, artifact_uid: str, digest: str) -> None:
        """Take note of a manifest that another worker has resolved."""
        self._answers.hear_resolved(artifact_uid, digest)

    def hear_trouble(self, sentence: str) -> None:
        """Take over what another worker found to be wrong with the disk; empty when it works again."""
        if self._cache is not None:
            self._cache.hear_trouble(sentence)

    async def hurry(self) -> None:
        """Cut the transfers that a stopping node still waits for."""
        self._crew.alone.set()
        await self._registry_server.cut()

    async def failed(self) -> None:
        """Wait for what makes the node unable to go on, and raise it."""
        assert self._following is not None  # noqa: S101 - only after start
        await asyncio.shield(self._following)

    async def _start(self, stack: AsyncExitStack) -> None:
        settings = self._settings
        # First of all: a node whose port is taken must not touch what another one is working with.
        share = self._share
        registry_sockets = self._crew.listening or listen(
            settings.registry_listen, "PENSTOCK_REGISTRY_LISTEN", stack
        )
        self.registry_address = name_of(registry_sockets)
        if share.alone:
            node_sockets = listen(settings.node_listen, "PENSTOCK_NODE_LISTEN", stack)
            self.node_address = name_of(node_sockets)
        data_dir = await asyncio.to_thread(prepare_data_dir, settings.data_dir)
        disk = Disk(data_dir / "node" / "resolved", settings.manifest_disk_max_bytes)
        await asyncio.to_thread(disk.prepare)
        storage = await Storage.make(
            settings, data_dir, self._measures, self._descriptors, self._crew.tell_trouble, stack
        )
        cache = storage.cache
        # What is pushed later ends earlier: health and metrics last.
        if share.alone:
            self._node_server.start(node_sockets)
            stack.push_async_callback(self._node_server.stop, 0)
        self._following = asyncio.create_task(self._follow(data_dir, disk, storage), name="node")
        stack.push_async_callback(_cancel, self._following)
        stack.push_async_callback(cache.stop)
        await cache.start()
        self._cache = cache
        self._recording.start()
        stack.push_async_callback(self._recording.stop)
        if not share.alone:
            await self._first_configuration()
        self._registry_server.start(registry_sockets)
        stack.push_async_callback(self._registry_server.stop, settings.drain_timeout.total_seconds())

    async def _follow(self, data_dir: Path, disk: Disk, storage: Storage) -> None:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(await join(self._settings, data_dir))
            transport = await stack.enter_async_context(Transport(allow_private=False))
            self._metrics.add(UpstreamMeasures(transport.outcomes))
            control = ControlPlane(client.nodes, self._patience)
            room = self._share.of(self._settings.manifest_memory_max_bytes)
            resolution = Resolution.make(control, transport, disk, self._lookups, room, stack)
            saved = SavedConfiguration(data_dir / "node" / "configuration.pb")
            watch = self._crew.watch(client, self.state, saved, self._version)
            await watch.start_from_saved()
            self._answers.begin(resolution, storage, self._metrics, self._recording.recorder)
            await self._recording.fold(data_dir, client.nodes)
            storage.cache.pin(Pins(self.state, resolution.shelf).digests)
            prefetch = Prefetch(
                self.state,
                resolution.manifests,
                resolution.tag_lists,
                storage.cache,
                resolution.source,
                self._settings.prefetch_rate,
                after_syncs=self._share.leads,
            )
            ahead = Ahead(resolution.grants, storage.cache.holds, self._crew.tell_resolved)
            stack.push_async_callback(ahead.stop)
            resolution.manifests.resolved = [prefetch.resolved, ahead.resolved]
            use_report = UseReport(client.nodes, self._answers.sign_ins.uses)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(watch.run(), name="config")
                tasks.create_task(use_report.run(), name="use-report")
                tasks.create_task(prefetch.run(), name="prefetch")

    async def _first_configuration(self) -> None:
        """Wait for it a moment: clients are better off in the socket's queue than with a 503."""
        assert self._following is not None  # noqa: S101 - just started
        first = asyncio.create_task(self.state.first())
        await asyncio.wait({first, self._following}, timeout=_QUEUE, return_when=asyncio.FIRST_COMPLETED)
        await _cancel(first)

    async def _readiness(self) -> tuple[bool, dict[str, Any]]:
        readiness = self.report()["readiness"]
        return readiness["ready"], readiness

    async def _exposition(self) -> bytes:
        return self._metrics.exposition()


async def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
