"""Writes what was learned of an artifact: manifests with their edges, and that nodes are to ask again."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.descriptor import Descriptor
from clients.oci.manifest import Manifest
from controlplane.model import artifact_tables as tables
from controlplane.model.database import Database
from controlplane.model.section import Section


class ArtifactChanged(Exception):
    """The artifact was deleted, or given another upstream, since what is to be stored was asked for."""


async def lock(session: AsyncSession, artifact: tables.Artifact) -> None:
    """Keep the artifact as it is until this transaction ends; raises ArtifactChanged where it no longer is.

    What an upstream said must not be stored under another one.
    """
    row = await session.exec(
        select(tables.Artifact.id)
        .where(
            tables.Artifact.id == artifact.id,
            tables.Artifact.upstream == artifact.upstream,
            tables.Artifact.plain_http == artifact.plain_http,
        )
        .with_for_update(key_share=True)
    )
    if row.first() is None:
        raise ArtifactChanged


async def save_manifests(
    session: AsyncSession, artifact_id: int, manifests: Iterable[Manifest], now: datetime
) -> None:
    """Store manifests and what they point at; those that are held already stay as they are."""
    rows: list[dict[str, Any]] = []
    edges: dict[tuple[str, str], dict[str, Any]] = {}
    for manifest in manifests:
        parent = str(manifest.digest)
        rows.append(
            {
                "artifact_id": artifact_id,
                "digest": parent,
                "media_type": manifest.media_type,
                "artifact_type": manifest.artifact_type,
                "subject": "" if manifest.subject is None else str(manifest.subject.digest),
                "size": len(manifest.content),
                "content": manifest.content,
                "create_time": now,
            }
        )
        for kind, descriptors in (
            (tables.EdgeKind.MANIFEST, manifest.manifests),
            (tables.EdgeKind.BLOB, manifest.blobs),
        ):
            for descriptor in descriptors:
                # A manifest may name one layer many times; the first is the edge.
                edges.setdefault(
                    (parent, str(descriptor.digest)), _edge(artifact_id, parent, kind, descriptor)
                )
    if rows:
        await session.exec(insert_into(session, tables.Manifest).on_conflict_do_nothing(), params=rows)
    if edges:
        await session.exec(
            insert_into(session, tables.Edge).on_conflict_do_nothing(), params=list(edges.values())
        )


async def raise_content_revision(database: Database, session: AsyncSession, artifact_id: int) -> None:
    """Tell nodes that what they resolved of the artifact may be stale."""
    await session.exec(
        update(tables.Artifact)
        .where(col(tables.Artifact.id) == artifact_id)
        .values(content_revision=col(tables.Artifact.content_revision) + 1)
    )
    await database.raise_revision(session, Section.ARTIFACTS)


def _edge(artifact_id: int, parent: str, kind: tables.EdgeKind, descriptor: Descriptor) -> dict[str, Any]:
    return {
        "artifact_id": artifact_id,
        "parent": parent,
        "child": str(descriptor.digest),
        "kind": kind,
        "media_type": descriptor.media_type,
        "size": descriptor.size,
        "platform": descriptor.platform,
    }


def insert_into(session: AsyncSession, table: type[SQLModel]) -> sqlite.Insert | postgresql.Insert:
    """Begin an INSERT that may say what becomes of a conflict."""
    # ON CONFLICT is the same on both, but is not in SQLAlchemy's common language.
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
