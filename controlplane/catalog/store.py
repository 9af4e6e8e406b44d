"""Writes what was learned of an artifact: manifests with their edges, tags, revisions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.descriptor import Descriptor
from clients.oci.manifest import Manifest
from controlplane.catalog import held
from controlplane.model import tables
from controlplane.model.database import Database


class ArtifactChanged(Exception):
    """The artifact was deleted, or given another upstream, since what is to be stored was asked for."""


@dataclass(frozen=True, slots=True)
class TagChanges:
    """What became of tags: how many are new, and how many moved to another digest."""

    new: int = 0
    moved: int = 0


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
        await session.exec(_insert(session, tables.Manifest).on_conflict_do_nothing(), params=rows)
    if edges:
        await session.exec(
            _insert(session, tables.Edge).on_conflict_do_nothing(), params=list(edges.values())
        )


async def set_tags(
    database: Database, session: AsyncSession, artifact_id: int, tags: Mapping[str, str], now: datetime
) -> TagChanges:
    """Make tags stand for digests, writing only those that did not; then nodes are told to ask again.

    What the digests name is to be stored before, or in this transaction; the artifact is locked.
    """
    before = await held.tag_digests(session, artifact_id, tags)
    changed = {name: digest for name, digest in tags.items() if before.get(name) != digest}
    if not changed:
        return TagChanges()
    insert = _insert(session, tables.Tag)
    await session.exec(
        insert.on_conflict_do_update(
            index_elements=["artifact_id", "name"],
            set_={"digest": insert.excluded.digest, "update_time": insert.excluded.update_time},
        ),
        params=[
            {
                "artifact_id": artifact_id,
                "name": name,
                "digest": digest,
                "create_time": now,
                "update_time": now,
            }
            for name, digest in changed.items()
        ],
    )
    await _raise_content_revision(database, session, artifact_id)
    moved = sum(name in before for name in changed)
    return TagChanges(new=len(changed) - moved, moved=moved)


async def forget(database: Database, session: AsyncSession, artifact_id: int) -> None:
    """Drop all that is known of the artifact's content: it is about to come from another upstream."""
    for table in (tables.Tag, tables.Edge, tables.Manifest):
        await session.exec(delete(table).where(col(table.artifact_id) == artifact_id))
    await _raise_content_revision(database, session, artifact_id)


async def _raise_content_revision(database: Database, session: AsyncSession, artifact_id: int) -> None:
    await session.exec(
        update(tables.Artifact)
        .where(col(tables.Artifact.id) == artifact_id)
        .values(content_revision=col(tables.Artifact.content_revision) + 1)
    )
    await database.raise_revision(session)


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


def _insert(session: AsyncSession, table: type[SQLModel]) -> sqlite.Insert | postgresql.Insert:
    # ON CONFLICT is the same on both, but is not in SQLAlchemy's common language.
    if session.get_bind().dialect.name == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)
