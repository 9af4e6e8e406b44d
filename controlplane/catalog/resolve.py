"""References to content: from what is held, and once from the upstream for what is not."""

import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError, UpstreamNotFound, UpstreamUnavailable
from clients.oci.tag_rule import TagRule
from clients.process.merge import Merge
from controlplane.catalog import held, reach, store, tagging
from controlplane.catalog.absence import Absences
from controlplane.catalog.freshness import Freshness, age
from controlplane.catalog.policy import SyncPolicy
from controlplane.catalog.unknown import Unknown, UnknownReason
from controlplane.model.artifact_tables import Artifact, Manifest, Tag
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.upstream.access import UpstreamAccess, upstream_of

_LOG = logging.getLogger(__name__)

# How often the upstream is asked for one request, when the artifact gets another one meanwhile.
_ATTEMPTS: Final = 4
_NOTHING: Final = timedelta()
# When to ask again for a tag that is being asked for in the background.
_SOON: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Key:
    """What is asked of an upstream; another upstream of the artifact is another question."""

    artifact_uid: str
    upstream: str
    plain_http: bool
    reference: str


@dataclass(frozen=True, slots=True)
class ResolvedManifest:
    """A held manifest, at a content revision of its artifact; sizes in bytes.

    `content` is None where the caller said that it has it. After `max_age` it is to be asked for again;
    None where only the content revision says so.
    """

    digest: str
    media_type: str
    size: int
    content: bytes | None
    content_revision: int
    max_age: timedelta | None = None
    # A tag that reaches it, where one was looked for.
    reached_by: str = ""


@dataclass(frozen=True, slots=True)
class ResolvedBlob:
    """A blob that a held manifest reaches, with the size in bytes that this manifest says."""

    digest: str
    media_type: str
    size: int
    content_revision: int
    # A tag that reaches it, where one was looked for.
    reached_by: str = ""


class Resolver:
    """Answers what a tag or digest of an artifact stands for.

    A reference that is not held is asked of the upstream: once for all who want it, and not again for
    ten seconds where the upstream does not have it. What it gives is stored as sync would have.
    An artifact may say that the upstream is never asked, and that a tag which was not seen for some time
    is asked for again, before the answer or after it. Children of an index are left until somebody asks
    for them: a client wants one platform of many, now, and registries count every manifest against a
    limit. `clock` counts seconds and never goes back, `now` is the time of day in UTC.
    """

    def __init__(
        self,
        database: Database,
        access: UpstreamAccess,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._access = access
        self._now = now
        self._freshness = Freshness(database, access, clock=clock, now=now)
        self._absences: Absences[_Key] = Absences(clock)
        self._fetches: Merge[_Key, None] = Merge()

    async def stop(self) -> None:
        """Give up what is being asked of upstreams."""
        await self._freshness.stop()
        await self._fetches.stop()

    async def manifest(
        self,
        artifact_uid: str,
        reference: str | Digest,
        known_digest: str = "",
        scope: Collection[TagRule] = (),
    ) -> ResolvedManifest:
        """Give the manifest that a tag or digest stands for, without content where it is `known_digest`.

        Where there is a `scope`, a digest that none of its tags reaches is unknown, and is not asked for.
        Raises Unknown, and UpstreamError where the upstream had to be asked and could not say.
        """
        renewed = False
        for _ in range(_ATTEMPTS):
            async with self._database.read() as session:
                artifact = await held.artifact(session, artifact_uid)
                reached_by = await _reached_by(session, artifact, reference, scope)
                if reached_by is None:
                    raise _unknown(reference)
                found = await _held(session, artifact, reference, known_digest)
                row_id, by_digest = saved_id(artifact), isinstance(reference, Digest)
                # Asked for a config or layer as a manifest, registries answer 500, and say nothing of why.
                if found is None and by_digest and await reach.is_content(session, row_id, str(reference)):
                    raise _unknown(reference)
                tag = None if isinstance(reference, Digest) else await _tag(session, artifact, reference)
            policy = SyncPolicy.of(artifact.sync_policy)
            if found is not None:
                found = replace(found, reached_by=reached_by)
                if tag is None or policy.max_tag_age is None or policy.sync_only:
                    return found
                left = policy.max_tag_age - age(artifact, tag, self._now())
                if left > _NOTHING:
                    return replace(found, max_age=left)
                if policy.revalidate_before_answer and not renewed:
                    renewed = True
                    await self._freshness.renew(artifact, tag.name)
                    continue
                self._freshness.begin(artifact, tag.name)
                return replace(found, max_age=_SOON)
            if policy.sync_only:
                raise _unknown(reference)
            key = _Key(artifact.uid, artifact.upstream, artifact.plain_http, str(reference))
            if key in self._absences:
                raise _unknown(reference)
            with suppress(store.ArtifactChanged):
                await self._fetches.run(key, partial(self._fetch, artifact, reference, key))
        raise UpstreamUnavailable(
            upstream_of(artifact).host, "The artifact was given another upstream while this one was asked."
        )

    async def blob(self, artifact_uid: str, digest: Digest, scope: Collection[TagRule] = ()) -> ResolvedBlob:
        """Give the descriptor of a blob that a held manifest of the artifact reaches; raises Unknown.

        Where there is a `scope`, one of its tags must reach it.
        """
        async with self._database.read() as session:
            artifact = await held.artifact(session, artifact_uid)
            edge = await reach.blob(session, saved_id(artifact), str(digest))
            reached_by = await _reached_by(session, artifact, digest, scope)
        if edge is None or reached_by is None:
            raise Unknown(UnknownReason.BLOB, f"No manifest of this artifact has the blob {digest}.")
        return ResolvedBlob(edge.child, edge.media_type, edge.size, artifact.content_revision, reached_by)

    async def _fetch(self, artifact: Artifact, reference: str | Digest, key: _Key) -> None:
        """Ask the upstream for a manifest and store it, as the tag's where it was asked for by tag."""
        asked = self._now()
        try:
            manifest = await self._access.registry(artifact).get_manifest(str(reference))
        except UpstreamNotFound as error:
            self._absences.remember(key)
            raise _unknown(reference) from error
        except UpstreamError as error:
            _LOG.warning("%s of %s could not be resolved: %s", reference, artifact.upstream, error)
            raise
        async with self._database.write() as session:
            await store.lock(session, artifact)
            row_id, now = saved_id(artifact), self._now()
            await store.save_manifests(session, row_id, [manifest], now)
            if not isinstance(reference, Digest):
                tags, times = {reference: str(manifest.digest)}, {reference: asked}
                await tagging.set_tags(self._database, session, row_id, tags, now, asked=times)


async def _reached_by(
    session: AsyncSession, artifact: Artifact, reference: str | Digest, scope: Collection[TagRule]
) -> str | None:
    """Give a tag of the scope that reaches what is asked for: None without one, empty without a scope."""
    if not isinstance(reference, Digest):
        return reference
    return await reach.tag_of(session, saved_id(artifact), str(reference), scope) if scope else ""


async def _tag(session: AsyncSession, artifact: Artifact, name: str) -> Tag | None:
    return (await session.exec(select(Tag).where(Tag.artifact_id == artifact.id, Tag.name == name))).first()


async def _held(
    session: AsyncSession, artifact: Artifact, reference: str | Digest, known_digest: str
) -> ResolvedManifest | None:
    if isinstance(reference, Digest):
        digest = str(reference)
    else:
        tags = await held.tag_digests(session, saved_id(artifact), [reference])
        if reference not in tags:
            return None
        digest = tags[reference]
    where = (Manifest.artifact_id == artifact.id, Manifest.digest == digest)
    row = (await session.exec(select(Manifest.media_type, Manifest.size).where(*where))).first()
    if row is None:
        return None
    content = None
    if digest != known_digest:
        content = (await session.exec(select(Manifest.content).where(*where))).one()
    return ResolvedManifest(digest, row[0], row[1], content, artifact.content_revision)


def _unknown(reference: str | Digest) -> Unknown:
    what = "manifest" if isinstance(reference, Digest) else "tag"
    return Unknown(UnknownReason.MANIFEST, f"The upstream repository has no {what} {reference}.")
