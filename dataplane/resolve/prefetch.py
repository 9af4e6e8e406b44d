"""Fetching blobs before anybody asks for them, behind everybody who does."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError, UpstreamRateLimited
from clients.oci.platform import is_kept
from dataplane.blobs.cache import BlobCache
from dataplane.blobs.errors import BlobFailed
from dataplane.blobs.source import Source, Stream
from dataplane.config.configuration import ArtifactEntry
from dataplane.config.state import ConfigState
from dataplane.resolve.errors import Unknown
from dataplane.resolve.manifest import ResolvedManifest
from dataplane.resolve.manifests import Manifests
from dataplane.resolve.tags import TagLists

_LOG = logging.getLogger(__name__)

# Manifests and artifacts that wait; more are not fetched ahead.
_WAITING: Final = 1000
# Tags of one artifact that are fetched after one sync, the last in order.
_TAGS: Final = 200
# Seconds between two looks whether clients have what they want, and after an upstream that refuses more.
_LOOK: Final = 0.5
_REFUSED: Final = 60.0
# Seconds at low rates until it is seen that somebody waits.
_LONGEST_REST: Final = 0.1
# Manifests below one: an index may hold indexes.
_DEPTH: Final = 4


@dataclass(frozen=True, slots=True)
class _Wish:
    """A manifest whose blobs are wanted, or with None the tags of an artifact that has changed."""

    artifact: ArtifactEntry
    manifest: ResolvedManifest | None


class Prefetch:
    """Fetches, one blob at a time, while no client of this process waits for a fetch and there is room.

    `rate` is the most bytes a second, 0 for any number; once a client wants the same blob it comes as fast
    as it can. `run` it, and tell it what is `resolved`.
    """

    def __init__(
        self,
        state: ConfigState,
        manifests: Manifests,
        tag_lists: TagLists,
        cache: BlobCache,
        source: Callable[[ArtifactEntry, Digest], Source],
        rate: int,
        *,
        after_syncs: bool,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Describe it; `after_syncs` says whether this process is the one that does so for the node."""
        self._state = state
        self._manifests = manifests
        self._tag_lists = tag_lists
        self._cache = cache
        self._source = source
        self._rate = rate
        self._after_syncs = after_syncs
        self._sleep = sleep
        self._wishes: asyncio.Queue[_Wish] = asyncio.Queue(_WAITING)
        # Content revisions up to which the tags were looked at, by artifact uid.
        self._looked: dict[str, int] = {}

    def resolved(self, artifact: ArtifactEntry, manifest: ResolvedManifest) -> None:
        """Take note of a manifest that a client made this node ask for."""
        if artifact.cache.prefetch_platforms:
            self._wish(_Wish(artifact, manifest))

    async def run(self) -> None:
        """Fetch until cancelled; what cannot be had is logged and left."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fetch_wishes(), name="prefetch")
            if self._after_syncs:
                tasks.create_task(self._follow_syncs(), name="prefetch-syncs")

    def _wish(self, wish: _Wish) -> None:
        try:
            self._wishes.put_nowait(wish)
        except asyncio.QueueFull:
            self._cache.measures.prefetches_skipped += 1

    async def _follow_syncs(self) -> None:
        while True:
            configuration = await self._state.first()
            # What is not wanted any more is forgotten, as are artifacts that are gone.
            before, self._looked = self._looked, {}
            for artifact in configuration.artifacts.values():
                if artifact.cache.prefetch_tags:
                    self._looked[artifact.uid] = artifact.content_revision
                    if before.get(artifact.uid) != artifact.content_revision:
                        self._wish(_Wish(artifact, None))
            if self._state.configuration is configuration:
                await self._state.changed()

    async def _fetch_wishes(self) -> None:
        while True:
            wish = await self._wishes.get()
            try:
                if wish.manifest is None:
                    await self._fetch_tags(wish.artifact)
                else:
                    await self._fetch(wish.artifact, wish.manifest, _DEPTH)
            except UpstreamRateLimited as error:
                _LOG.warning("Nothing of %s is fetched ahead for now: %s", wish.artifact.repository, error)
                await self._sleep(error.retry_after or _REFUSED)
            except (UpstreamError, BlobFailed, Unknown) as error:
                _LOG.warning("Not all of %s could be fetched ahead: %s", wish.artifact.repository, error)
            except Exception:  # noqa: BLE001 - see below
                # Nobody waits for it, and a node must not end of it.
                _LOG.exception("Not all of %s could be fetched ahead.", wish.artifact.repository)

    async def _fetch_tags(self, artifact: ArtifactEntry) -> None:
        tags = (await self._tag_lists.get(artifact)).lines.decode("ascii").split()
        patterns = artifact.cache.prefetch_tags
        wanted = [tag for tag in tags if any(pattern.matches(tag) for pattern in patterns)]
        for tag in wanted[-_TAGS:]:
            await self._fetch(artifact, await self._manifests.get(artifact, tag), _DEPTH)

    async def _fetch(self, artifact: ArtifactEntry, resolved: ResolvedManifest, depth: int) -> None:
        manifest = resolved.parsed()
        if manifest is None:
            return
        for blob in manifest.blobs:
            await self._fetch_blob(artifact, blob.digest, blob.size)
        for child in manifest.manifests if depth else ():
            if is_kept(child.platform, artifact.cache.prefetch_platforms):
                held = await self._manifests.get(artifact, child.digest)
                await self._fetch(artifact, held, depth - 1)

    async def _fetch_blob(self, artifact: ArtifactEntry, digest: Digest, size: int) -> None:
        cache, measures = self._cache, self._cache.measures
        while measures.running_fills:
            await self._sleep(_LOOK)
        if cache.holds(digest, size):
            return
        if cache.trouble or not cache.has_room(size):
            measures.prefetches_skipped += 1
            return
        owner = artifact.organization_uid
        hurries = partial(cache.hurries, digest, size, owner)
        source = _Gentle(self._source(artifact, digest), self._rate, hurries, self._sleep)
        with await cache.open(digest, size, source, owner=owner, ahead=True) as reader:
            await reader.complete()
        measures.prefetches += 1


class _Gentle:
    """A Source that gives its bytes at a rate, until `hurries` tells that somebody waits for them."""

    def __init__(
        self,
        source: Source,
        rate: int,
        hurries: Callable[[], bool],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._source = source
        self._rate = rate
        self._hurries = hurries
        self._sleep = sleep

    def __str__(self) -> str:
        return str(self._source)

    @asynccontextmanager
    async def open(self, offset: int, stop: int | None = None) -> AsyncIterator[Stream]:
        """See Source."""
        async with AsyncExitStack() as stack:
            yield _GentleStream(await stack.enter_async_context(self._source.open(offset, stop)), self)

    async def rest(self, count: int) -> None:
        """Pause for what so many bytes may take."""
        left = count / self._rate if self._rate else 0.0
        while left > 0 and not self._hurries():
            await self._sleep(min(left, _LONGEST_REST))
            left -= _LONGEST_REST


class _GentleStream:
    def __init__(self, stream: Stream, source: _Gentle) -> None:
        self._stream = stream
        self._source = source
        self.offset = stream.offset
        self.size = stream.size

    async def chunks(self) -> AsyncGenerator[bytes | memoryview, None]:
        async with aclosing(self._stream.chunks()) as chunks:
            async for chunk in chunks:
                yield chunk
                await self._source.rest(len(chunk))
