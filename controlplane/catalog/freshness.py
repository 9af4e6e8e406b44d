"""How old what is known of a tag is, and asking the upstream again when it is too old."""

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.errors import UpstreamError
from clients.oci.manifest import Manifest
from clients.process.merge import Merge
from controlplane.catalog import store, tagging
from controlplane.catalog.absence import Absences
from controlplane.model import artifact_tables as tables
from controlplane.model.artifact_tables import Artifact, Tag
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.upstream.access import UpstreamAccess

_LOG = logging.getLogger(__name__)

# Seconds for which an upstream that could not say is not asked about the same tag again.
_PAUSE: Final = 10.0

_Key = tuple[str, str, bool, str]


def age(artifact: Artifact, tag: Tag, now: datetime) -> timedelta:
    """Give the time since the upstream last said what the tag stands for, to a pull or a sync.

    A time to come is of a clock that was wrong, by so much: it counts as one that is so far back.
    """
    seen = [tag.update_time]
    if tag.seen_time is not None:
        seen.append(tag.seen_time)
    if artifact.tags_seen_time is not None and not (tag.left_out or tag.missing_runs):
        seen.append(artifact.tags_seen_time)
    return min(abs(now - time) for time in seen)


class Freshness:
    """Asks upstreams what tags stand for now, with HEAD, once for all who want to know.

    What they say is stored as a sync would. A tag that the upstream does not have any more stays: what
    ends it are syncs. `clock` counts seconds, `now` is the time of day in UTC.
    """

    def __init__(
        self,
        database: Database,
        access: UpstreamAccess,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._access = access
        self._now = now
        self._asked: Absences[_Key] = Absences(clock, seconds=_PAUSE)
        self._asking: Merge[_Key, None] = Merge()

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._asking.stop()

    async def renew(self, artifact: Artifact, tag: str) -> None:
        """Ask the upstream of an artifact about a tag, and wait for what comes of it. Does not raise."""
        key = (artifact.uid, artifact.upstream, artifact.plain_http, tag)
        if key not in self._asked:
            await self._asking.run(key, partial(self._ask, artifact, tag, key))

    def begin(self, artifact: Artifact, tag: str) -> None:
        """Ask as `renew` does, in the background."""
        key = (artifact.uid, artifact.upstream, artifact.plain_http, tag)
        if key not in self._asked:
            self._asking.begin(key, partial(self._ask, artifact, tag, key))

    async def _ask(self, artifact: Artifact, tag: str, key: _Key) -> None:
        try:
            await self._renew(artifact, tag)
        except UpstreamError as error:
            self._asked.remember(key)
            _LOG.warning("%s of %s could not be asked for again: %s", tag, artifact.upstream, error)
        except store.ArtifactChanged:
            self._asked.remember(key)

    async def _renew(self, artifact: Artifact, tag: str) -> None:
        registry = self._access.registry(artifact)
        asked = self._now()
        descriptor = await registry.head_manifest(tag)
        fetched: list[Manifest] = []
        if descriptor is None:
            fetched.append(await registry.get_manifest(tag))
        digest = str(fetched[0].digest if descriptor is None else descriptor.digest)
        key = saved_id(artifact)
        async with self._database.read() as session:
            held = await _holds(session, key, digest)
        if not held and not fetched:
            fetched.append(await registry.get_manifest(digest))
        async with self._database.write() as session:
            await store.lock(session, artifact)
            # A sync may have dropped it in between; then the next who asks has it fetched.
            if held and not fetched and not await _holds(session, key, digest):
                return
            now = self._now()
            await store.save_manifests(session, key, fetched, now)
            await tagging.set_tags(self._database, session, key, {tag: digest}, now, asked={tag: asked})
            await session.exec(
                update(Tag)
                .where(col(Tag.artifact_id) == key, col(Tag.name) == tag, col(Tag.digest) == digest)
                .values(seen_time=asked)
            )


async def _holds(session: AsyncSession, artifact_id: int, digest: str) -> bool:
    found = await session.exec(
        select(tables.Manifest.digest).where(
            tables.Manifest.artifact_id == artifact_id, tables.Manifest.digest == digest
        )
    )
    return found.first() is not None
