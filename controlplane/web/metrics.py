"""The control plane's metrics, in the formats of Prometheus."""

import platform
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from clients.process.scraping import ScrapeToken
from controlplane.api.errors import unauthenticated
from controlplane.sync.measures import LastSyncs
from controlplane.web.handler import Handler


def new_registry() -> CollectorRegistry:
    """Make a registry that knows the process and what it was built from."""
    # When a counter began is told by when its process did.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    build = Info("penstock_build", "What runs here.", registry=registry)
    build.info({"version": version("penstock"), "python": platform.python_version()})
    return registry


class Metrics(Handler):
    """Everything that was counted since the process started."""

    def initialize(self, registry: CollectorRegistry, last_syncs: LastSyncs, token: ScrapeToken) -> None:
        """Take what is shown, and to whom."""
        self._token = token
        self._registry = registry
        self._last_syncs = last_syncs

    async def get(self) -> None:
        """Answer in the format that the scraper asks for."""
        if not self._token.admits(self.request.headers.get("Authorization", "")):
            self.fail(
                unauthenticated(
                    "SCRAPE_TOKEN_INVALID",
                    "Metrics are shown to who has the token that PENSTOCK_METRICS_TOKEN is.",
                )
            )
            return
        await self._last_syncs.refresh()
        encoder, content_type = choose_encoder(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.finish(encoder(self._registry))
