"""How a worker records pulls: it notes requests; the leading one folds and reports those of all."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dataplane.config.configuration import Configuration
from dataplane.events.journal import Journal
from dataplane.events.measures import PullMeasures
from dataplane.events.pulls import Pulls
from dataplane.events.recorder import Recorder
from dataplane.events.report import Report
from dataplane.settings import Settings
from dataplane.workers.crew import Crew
from penstock.v1.node_pb2_grpc import NodeServiceStub


class Recording:
    """Records from `start` to `stop`, nothing where the settings say so."""

    def __init__(
        self, settings: Settings, crew: Crew, configuration: Callable[[], Configuration | None]
    ) -> None:
        """Describe it; `configuration` gives what is in force."""
        self._settings = settings
        self._crew = crew
        self.recorder = Recorder(crew.note) if settings.pull_events else None
        """Notes requests; None where pulls are not recorded."""
        self.measures = PullMeasures(
            configuration, settings.metrics_pull_labels.split(","), settings.metrics_pull_series
        )
        """What was folded, and lost on the way to where it is."""
        self.measures.fates = lambda: (0, crew.noted.lost, 0)
        self._noting: asyncio.Task[None] | None = None
        self._pulls: Pulls | None = None

    def start(self) -> None:
        """Begin to hand over what is noted."""
        if self.recorder is not None:
            self._noting = asyncio.create_task(self.recorder.run(), name="recorder")

    async def fold(self, data_dir: Path, nodes: NodeServiceStub) -> None:
        """Begin to fold and to report, in the leading worker; nothing happens in the others."""
        if self.recorder is None or not self._crew.share.leads:
            return
        settings, noted, measures = self._settings, self._crew.noted, self.measures
        journal = Journal(data_dir / "node" / "events", settings.events_max_bytes)
        report = Report(nodes)
        measures.waiting = lambda: (journal.events, journal.size)
        measures.fates = lambda: (report.stored, journal.lost + noted.lost, report.refused)
        pulls = Pulls(noted, journal, report, measures.see, settings.pull_window.total_seconds())
        await pulls.start()
        self._pulls = pulls

    async def stop(self) -> None:
        """Hand over what is left; the leading worker waits for what the others have, for a while."""
        if self.recorder is None or self._noting is None:
            return
        self._noting.cancel()
        await asyncio.gather(self._noting, return_exceptions=True)
        self.recorder.flush()
        if self._pulls is None:
            return
        if not self._crew.share.alone:
            # What the others noted of their last transfers is still to come.
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.drain_timeout.total_seconds()):
                    await self._crew.alone.wait()
        await self._pulls.stop()
