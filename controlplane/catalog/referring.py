"""What refers to a manifest (signatures, SBOMs, attestations): what is held, and once from the upstream."""

import json
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.descriptor import Descriptor
from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError, UpstreamInvalid, UpstreamNotFound
from clients.oci.manifest import Manifest
from clients.oci.referrers import MAX_REFERRERS, referrers_tag
from clients.oci.registry import Registry
from clients.oci.tag_rule import TagRule
from clients.process.merge import Merge
from controlplane.catalog import held, reach, store
from controlplane.catalog.absence import Absences
from controlplane.catalog.policy import SyncPolicy
from controlplane.model import artifact_tables as tables
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.upstream.access import UpstreamAccess

_LOG = logging.getLogger(__name__)

# Seconds for which the upstream is not asked about the same subject again.
_ASKED: Final = 60.0
# Bytes of annotations in one answer; the descriptors after that come without theirs.
_ANNOTATIONS: Final = 1 << 20

_Key = tuple[str, str, bool, str]


@dataclass(frozen=True, slots=True)
class Referrer:
    """A held manifest that names another one as its subject."""

    digest: str
    media_type: str
    size: int
    artifact_type: str
    annotations: dict[str, str]


class Referring:
    """Answers which manifests refer to one.

    The upstream is asked at most once a minute about each subject that is held, unless the artifact says
    sync only, so that a signature made after the last sync is seen by who looks for it. Where it does not
    answer, what is held is the answer. `clock` counts seconds, `now` is the time of day in UTC.
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
        self._asked: Absences[_Key] = Absences(clock, seconds=_ASKED)
        self._asking: Merge[_Key, None] = Merge()

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._asking.stop()

    async def of(
        self, artifact_uid: str, subject: Digest, scope: Collection[TagRule] = ()
    ) -> tuple[list[Referrer], int]:
        """Give the referrers of a manifest, and the artifact's content revision; raises Unknown.

        Where there is a `scope`, a subject that none of its tags reaches has none, and is not asked for.
        """
        async with self._database.read() as session:
            artifact = await held.artifact(session, artifact_uid)
            if scope and not await reach.tag_of(session, saved_id(artifact), str(subject), scope):
                return [], artifact.content_revision
            present = await _held(session, saved_id(artifact), [str(subject)])
        key = (artifact.uid, artifact.upstream, artifact.plain_http, str(subject))
        if present and key not in self._asked and not SyncPolicy.of(artifact.sync_policy).sync_only:
            await self._asking.run(key, partial(self._ask, artifact, subject, key))
        async with self._database.read() as session:
            artifact = await held.artifact(session, artifact_uid)
            return await _referrers(session, saved_id(artifact), str(subject)), artifact.content_revision

    async def _ask(self, artifact: Artifact, subject: Digest, key: _Key) -> None:
        try:
            await self._bring(artifact, subject)
        except UpstreamError as error:
            _LOG.warning("Referrers of %s@%s could not be asked for: %s", artifact.upstream, subject, error)
        except store.ArtifactChanged:
            return
        # Not before: who comes meanwhile waits for the same answer.
        self._asked.remember(key)

    async def _bring(self, artifact: Artifact, subject: Digest) -> None:
        registry = self._access.registry(artifact)
        listed = await registry.referrers(subject)
        descriptors = await _by_tag(registry, subject) if listed is None else listed
        digests = [str(descriptor.digest) for descriptor in descriptors]
        async with self._database.read() as session:
            present = await _held(session, saved_id(artifact), digests)
        fetched: list[Manifest] = []
        for digest in digests:
            if digest in present:
                continue
            try:
                fetched.append(await registry.get_manifest(digest))
            except (UpstreamNotFound, UpstreamInvalid) as error:
                _LOG.info("A referrer of %s is left out: %s", subject, error)
        if fetched:
            async with self._database.write() as session:
                await store.lock(session, artifact)
                await store.save_manifests(session, saved_id(artifact), fetched, self._now())


async def _by_tag(registry: Registry, subject: Digest) -> Collection[Descriptor]:
    try:
        return (await registry.get_manifest(referrers_tag(subject))).manifests[:MAX_REFERRERS]
    except UpstreamNotFound:
        return ()


async def _held(session: AsyncSession, artifact_id: int, digests: Collection[str]) -> set[str]:
    found: set[str] = set()
    for batch in held.batches(digests):
        found.update(
            await session.exec(
                select(tables.Manifest.digest).where(
                    tables.Manifest.artifact_id == artifact_id, col(tables.Manifest.digest).in_(batch)
                )
            )
        )
    return found


async def _referrers(session: AsyncSession, artifact_id: int, subject: str) -> list[Referrer]:
    row = tables.Manifest
    rows = await session.exec(
        select(row)
        .where(row.artifact_id == artifact_id, row.subject == subject)
        .order_by(col(row.create_time), col(row.digest))
        .limit(MAX_REFERRERS)
    )
    room = _ANNOTATIONS
    referrers: list[Referrer] = []
    for manifest in rows:
        annotations = _annotations(manifest.content)
        room -= sum(len(key) + len(value) for key, value in annotations.items())
        referrers.append(
            Referrer(
                manifest.digest,
                manifest.media_type,
                manifest.size,
                manifest.artifact_type,
                annotations if room >= 0 else {},
            )
        )
    return referrers


def _annotations(content: bytes) -> dict[str, str]:
    # It was parsed before it was stored; of its annotations nothing was said then.
    document: Any = json.loads(content)
    annotations = document.get("annotations") or {}
    if not isinstance(annotations, dict):
        return {}
    return {key: value for key, value in annotations.items() if isinstance(value, str)}
