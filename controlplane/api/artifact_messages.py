"""Artifacts as the API shows them."""

from collections.abc import Sequence

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.api import cache_policies, sync_policies
from controlplane.api.etags import etag
from controlplane.api.find import FoundArtifact
from controlplane.api.timestamps import timestamp
from controlplane.model.artifact_tables import Artifact, Tag
from controlplane.model.naming import CredentialName, SyncJobName
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.model.upstream_tables import Credential
from penstock.v1 import artifact_pb2 as pb


def artifact_etag(row: Artifact) -> str:
    """Give the etag of an artifact; a sync leaves it as it is."""
    return etag(
        row.uid,
        row.display_name,
        row.upstream,
        row.plain_http,
        row.credential_id or 0,
        row.ca_certificates,
        row.update_time,
    )


def artifact_message(artifact: FoundArtifact) -> pb.Artifact:
    """Render what the row of an artifact says."""
    row, name = artifact.row, artifact.name
    return pb.Artifact(
        name=str(name),
        uid=row.uid,
        display_name=row.display_name,
        upstream=row.upstream,
        plain_http=row.plain_http,
        repository=name.repository,
        create_time=timestamp(row.create_time),
        update_time=timestamp(row.update_time),
        etag=artifact_etag(row),
        last_sync_time=timestamp(row.last_sync_time),
        last_sync_error=row.last_sync_error,
        ca_certificates=row.ca_certificates,
        labels=row.labels,
        sync_policy=sync_policies.message(row),
        cache_policy=cache_policies.message(row),
        size_bytes=row.size_bytes,
        next_sync_time=timestamp(row.next_sync_time),
    )


async def artifact_messages(session: AsyncSession, artifacts: Sequence[FoundArtifact]) -> list[pb.Artifact]:
    """Render artifacts with their number of tags and the sync that waits or runs."""
    ids = [saved_id(artifact.row) for artifact in artifacts]
    counts = await session.exec(
        select(Tag.artifact_id, func.count())
        .where(col(Tag.artifact_id).in_(ids))
        .group_by(col(Tag.artifact_id))
    )
    tags = dict(counts.all())
    found = await session.exec(
        select(SyncJob.artifact_id, SyncJob.uid)
        .where(
            col(SyncJob.artifact_id).in_(ids),
            col(SyncJob.state).in_((pb.SyncJob.PENDING, pb.SyncJob.RUNNING)),
        )
        .order_by(col(SyncJob.id).desc())
    )
    credentials = await _credential_slugs(session, artifacts)
    # Where one runs and one waits, the one that runs: it was asked for first.
    jobs = dict(found.all())
    messages = []
    for artifact, key in zip(artifacts, ids, strict=True):
        message = artifact_message(artifact)
        message.tag_count = tags.get(key, 0)
        if slug := credentials.get(artifact.row.credential_id):
            message.credential = str(CredentialName(artifact.organization.slug, slug))
        if uid := jobs.get(key):
            message.current_sync_job = str(SyncJobName(artifact.name, uid))
        messages.append(message)
    return messages


async def _credential_slugs(
    session: AsyncSession, artifacts: Sequence[FoundArtifact]
) -> dict[int | None, str]:
    ids = {artifact.row.credential_id for artifact in artifacts} - {None}
    if not ids:
        return {}
    found = await session.exec(select(Credential.id, Credential.slug).where(col(Credential.id).in_(ids)))
    return dict(found.all())
