"""Blobs from an artifact's upstream, with access that the control plane grants for a short while."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from clients.oci.blob import BlobStream, open_blob
from clients.oci.digest import Digest
from clients.oci.errors import UpstreamDenied, UpstreamNotFound
from clients.oci.transport import Transport
from clients.process.merge import Merge
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane, Grant
from dataplane.resolve.errors import ControlPlaneAway, Unknown

# Seconds that a grant is used without asking again; it may be withdrawn, or the upstream change.
_FRESH: Final = 60.0
# Seconds before its end at which a grant is no longer begun with.
_MARGIN: Final = 15.0


@dataclass(frozen=True, slots=True)
class _Held:
    grant: Grant
    # The artifact's content revision that it was asked for under; another credential raises it.
    revision: int
    asked_at: float

    def is_fresh(self, revision: int, now: float) -> bool:
        # A clock that was set back says nothing about what is fresh.
        return self.revision == revision and 0 <= now - self.asked_at < _FRESH and self.lasts(now)

    def lasts(self, now: float) -> bool:
        return self.grant.expires_at is None or now < self.grant.expires_at - _MARGIN


class Grants:
    """Access to upstreams by artifact, in memory only; `clock` gives seconds since the epoch."""

    def __init__(self, control: ControlPlane, clock: Callable[[], float] = time.time) -> None:
        self._control = control
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._asking: Merge[tuple[str, int, bool, bool], Grant] = Merge()

    async def get(self, artifact: ArtifactEntry, *, refused: Grant | None = None) -> Grant:
        """Get access; `refused` is what the upstream does not take any more, and is then dropped.

        Raises Unknown, and UpstreamError. While the control plane cannot be asked, a grant serves to its end.
        """
        held = self._held.get(artifact.uid)
        # Of many requests that were refused together, the first has already got another.
        if held is not None and held.grant is refused:
            del self._held[artifact.uid]
            held = None
        now = self._clock()
        if held is not None and held.is_fresh(artifact.content_revision, now):
            return held.grant
        needed = held is None or not held.lasts(now)
        anew = refused is not None
        ask = partial(self._ask, artifact, refused=anew, patient=needed)
        try:
            return await self._asking.run((artifact.uid, artifact.content_revision, anew, needed), ask)
        except ControlPlaneAway:
            if held is None or needed:
                raise
            return held.grant

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._asking.stop()

    async def _ask(self, artifact: ArtifactEntry, *, refused: bool, patient: bool) -> Grant:
        ask = partial(self._control.upstream_access, artifact.uid, refused=refused)
        grant = await (self._control.patiently(ask) if patient else ask())
        now = self._clock()
        self._held = {uid: held for uid, held in self._held.items() if held.lasts(now)}
        self._held[artifact.uid] = _Held(grant, artifact.content_revision, now)
        return grant


class UpstreamBlob:
    """One blob at an artifact's upstream: a Source of the blob cache."""

    def __init__(self, grants: Grants, transport: Transport, artifact: ArtifactEntry, digest: Digest) -> None:
        self._grants = grants
        self._transport = transport
        self._artifact = artifact
        self._digest = digest

    def __str__(self) -> str:
        return self._artifact.repository

    @asynccontextmanager
    async def open(self, offset: int, stop: int | None = None) -> AsyncIterator[BlobStream]:
        """Ask for the blob from byte `offset` to `stop`; twice if access is refused. Raises UpstreamError."""
        async with AsyncExitStack() as stack:
            grant = await self._grant()
            try:
                stream = await self._enter(stack, offset, stop, grant)
            except UpstreamDenied:
                stream = await self._enter(stack, offset, stop, await self._grant(refused=grant))
            yield stream

    async def _grant(self, refused: Grant | None = None) -> Grant:
        try:
            return await self._grants.get(self._artifact, refused=refused)
        except Unknown as error:
            raise UpstreamNotFound(
                "the control plane", f"The repository {self._artifact.repository} is no longer there."
            ) from error

    async def _enter(self, stack: AsyncExitStack, offset: int, stop: int | None, grant: Grant) -> BlobStream:
        opened = open_blob(self._transport, grant.access, self._digest, offset=offset, stop=stop)
        return await stack.enter_async_context(opened)
