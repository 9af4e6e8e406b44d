"""What refers to a manifest (signatures, SBOMs, attestations): what is held, and once from the upstream."""

import json
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.descriptor import Descriptor
from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError, UpstreamInvalid, UpstreamNotFound
from clients.oci.manifest import MAX_SIZE, Manifest
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
# Bytes of manifests that may be in memory at once; those that an answer has no room for come without
# annotations, which are read from them.
_CONTENT: Final = 8 << 20
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
        problem: UpstreamError | None = None
        for digest in digests:
            if digest in present:
                continue
            if sum(len(manifest.content) for manifest in fetched) + MAX_SIZE > _CONTENT:
                await self._save(artifact, subject, fetched)
                fetched = []
            try:
                fetched.append(await registry.get_manifest(digest))
            except (UpstreamNotFound, UpstreamInvalid) as error:
                _LOG.info("A referrer of %s is left out: %s", subject, error)
            except UpstreamError as error:
                # What came is kept: an upstream that bounds requests would be asked for the same for ever.
                problem = error
                break
        if fetched:
            await self._save(artifact, subject, fetched)
        if problem is not None:
            raise problem

    async def _save(self, artifact: Artifact, subject: Digest, manifests: list[Manifest]) -> None:
        async with self._database.write() as session:
            await store.lock(session, artifact)
            if not await _held(session, saved_id(artifact), [str(subject)]):
                # A sync has dropped it meanwhile, with what referred to it: nothing would find these again.
                return
            await store.save_manifests(session, saved_id(artifact), manifests, self._now())


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
    found = await session.exec(
        select(row.digest, row.media_type, row.size, row.artifact_type)
        .where(row.artifact_id == artifact_id, row.subject == subject)
        .order_by(col(row.create_time), col(row.digest))
        .limit(MAX_REFERRERS)
    )
    referrers = [Referrer(*values, annotations={}) for values in found]
    room, readable = _CONTENT, []
    for referrer in referrers:
        if referrer.size <= room:
            room -= referrer.size
            readable.append(referrer.digest)
    annotations = await _annotations(session, artifact_id, readable)
    room = _ANNOTATIONS
    for place, referrer in enumerate(referrers):
        own = annotations.get(referrer.digest, {})
        room -= sum(len(key) + len(value) for key, value in own.items())
        if room < 0:
            break
        referrers[place] = replace(referrer, annotations=own)
    return referrers


async def _annotations(
    session: AsyncSession, artifact_id: int, digests: Collection[str]
) -> dict[str, dict[str, str]]:
    row = tables.Manifest
    annotations: dict[str, dict[str, str]] = {}
    for batch in held.batches(digests):
        contents = await session.exec(
            select(row.digest, row.content).where(row.artifact_id == artifact_id, col(row.digest).in_(batch))
        )
        annotations.update((digest, _annotations_of(content)) for digest, content in contents)
    return annotations


def _annotations_of(content: bytes) -> dict[str, str]:
    # It was parsed before it was stored; of its annotations nothing was said then.
    document: Any = json.loads(content)
    annotations = document.get("annotations") or {}
    if not isinstance(annotations, dict):
        return {}
    return {key: value for key, value in annotations.items() if isinstance(value, str)}
