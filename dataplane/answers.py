"""What a node answers its clients with: that it is not ready, until it is told what to answer from."""

from clients.oci.digest import Digest
from clients.process.request_id import RequestIds
from dataplane.access.sign_in import SignIns
from dataplane.config.state import ConfigState
from dataplane.events.recorder import Recorder
from dataplane.http.cached import Cached
from dataplane.http.clocks import Clocks
from dataplane.http.errors import Code, Refusal
from dataplane.http.limits import Hits
from dataplane.http.message import Answer, FileAnswer, Request
from dataplane.http.metrics import Metrics
from dataplane.http.pace import Paces
from dataplane.http.quick import QuickRegistry
from dataplane.http.registry import Registry
from dataplane.http.service import Quick
from dataplane.http.transfers import Shares, Transfers
from dataplane.resolution import Resolution
from dataplane.resolve.members import Members
from dataplane.settings import Settings
from dataplane.storage import Storage


class Answers:
    """Answers from `begin` on; all that knows of requests is put together here, and nothing else does."""

    def __init__(self, settings: Settings, state: ConfigState, hits: Hits, clocks: Clocks | None) -> None:
        self.sign_ins = SignIns()
        """Who was let in, and how often somebody was not."""
        self.ids = RequestIds()
        """Names for requests whose clients gave none."""
        self._settings = settings
        self._state = state
        self._transfers = Transfers(
            Shares(
                settings.max_transfers_per_token, settings.max_transfers_per_address, settings.max_transfers
            ),
            hits,
            Paces(settings.rates, clocks, hits),
        )
        self._registry: Registry | None = None
        self._quick: Quick | None = None
        self._cached: Cached | None = None
        self._members: Members | None = None

    def begin(
        self, resolution: Resolution, storage: Storage, metrics: Metrics, recorder: Recorder | None
    ) -> None:
        """Answer from these; what is asked for is counted, and noted if there is a recorder."""
        cache, redirects = storage.cache, storage.redirects
        self._registry = Registry(
            self._state,
            self.sign_ins,
            resolution.manifests,
            resolution.members,
            resolution.reach,
            resolution.tag_lists,
            resolution.referrer_lists,
            cache,
            resolution.source,
            self._transfers,
            metrics.count,
            redirects,
            recorder,
        )
        self._members = resolution.members
        self._cached = Cached(
            self._state,
            self.sign_ins,
            resolution.manifests,
            cache.kept,
            bucket=self._settings.bucket is not None,
        )
        self._quick = QuickRegistry(
            self._state,
            self.sign_ins.uses,
            resolution.manifests,
            resolution.members,
            resolution.reach,
            cache.warm,
            self._transfers,
            metrics,
            None if redirects is None else redirects.concerns,
            recorder,
            self.ids,
            self._settings.proxies,
        )

    async def answer(self, request: Request) -> Answer:
        """Answer any request to the registry."""
        if self._registry is None:
            return Refusal(Code.UNAVAILABLE, "This node is not connected to its control plane yet.").answer()
        return await self._registry.answer(request)

    def quickly(self, line: bytes, block: bytes, address: str) -> bytes | FileAnswer | None:
        """See `http.service.Quick`."""
        return None if self._quick is None else self._quick(line, block, address)

    async def cached(self, request: Request) -> bytes | None:
        """Say what of an image is on this node; see `http.cached`."""
        return None if self._cached is None else await self._cached.answer(request)

    def hear_resolved(self, artifact_uid: str, digest: str) -> None:
        """Take note of a manifest that another worker has resolved."""
        if self._members is not None:
            self._members.hear(artifact_uid, Digest.parse(digest))
