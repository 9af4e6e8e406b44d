"""Writes what tags stand for, and keeps what they stood for."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy
from sqlalchemy import Insert, insert, literal
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.catalog import held, store
from controlplane.catalog.collect import collect
from controlplane.model.artifact_tables import Artifact, Edge, Manifest, Tag, TagRevision
from controlplane.model.database import Database


@dataclass(frozen=True, slots=True)
class TagChanges:
    """What became of tags: how many are new, and how many moved to another digest."""

    new: int = 0
    moved: int = 0


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
    moved = before.keys() & changed.keys()
    await _end_revisions(session, artifact_id, moved, now)
    added = store.insert_into(session, Tag)
    await session.exec(
        added.on_conflict_do_update(
            index_elements=["artifact_id", "name"],
            set_={
                "digest": added.excluded.digest,
                "update_time": added.excluded.update_time,
                "missing_runs": 0,
                "left_out": added.excluded.left_out,
            },
        ),
        params=[
            {
                "artifact_id": artifact_id,
                "name": name,
                "digest": digest,
                "create_time": now,
                "update_time": now,
                "missing_runs": 0,
                "left_out": False,
            }
            for name, digest in changed.items()
        ],
    )
    await store.raise_content_revision(database, session, artifact_id)
    return TagChanges(new=len(changed) - len(moved), moved=len(moved))


async def remove_tags(
    database: Database, session: AsyncSession, artifact_id: int, names: Collection[str], now: datetime
) -> None:
    """Let tags be held no more, nor what they alone led to; nodes are told to ask again.

    Both in one transaction: nothing would find a manifest again that lost its tag and stayed. The artifact is
    locked.
    """
    digests = await held.tag_digests(session, artifact_id, names)
    await _end_revisions(session, artifact_id, names, now)
    for batch in held.batches(names):
        await session.exec(delete(Tag).where(col(Tag.artifact_id) == artifact_id, col(Tag.name).in_(batch)))
    await collect(session, artifact_id, set(digests.values()))
    await store.raise_content_revision(database, session, artifact_id)


async def forget(database: Database, session: AsyncSession, artifact_id: int, now: datetime) -> None:
    """Drop the artifact's content: it is about to come from another upstream. What tags stood for is kept."""
    await session.exec(_ended(artifact_id, now))
    for table in (Tag, Edge, Manifest):
        await session.exec(delete(table).where(col(table.artifact_id) == artifact_id))
    await session.exec(
        update(Artifact)
        .where(col(Artifact.id) == artifact_id)
        .values(tags_seen_time=None, referrers_seen_time=None, size_bytes=0)
    )
    await store.raise_content_revision(database, session, artifact_id)


async def forget_history(session: AsyncSession, before: datetime) -> int:
    """Delete some of what tags stood for until before a moment; gives how many rows, at most held.BATCH."""
    old = select(TagRevision.id).where(col(TagRevision.end_time) < before).limit(held.BATCH)
    deleted = await session.exec(delete(TagRevision).where(col(TagRevision.id).in_(old)))
    return deleted.rowcount


async def _end_revisions(
    session: AsyncSession, artifact_id: int, names: Collection[str], now: datetime
) -> None:
    for batch in held.batches(names):
        await session.exec(_ended(artifact_id, now, batch))


def _ended(artifact_id: int, now: datetime, names: Collection[str] | None = None) -> Insert:
    """Make the statement that copies what tags stand for, all or some, to what they stood for."""
    columns = (col(Tag.artifact_id), col(Tag.name), col(Tag.digest), col(Tag.update_time))
    rows = sqlalchemy.select(*columns, literal(now)).where(col(Tag.artifact_id) == artifact_id)
    if names is not None:
        rows = rows.where(col(Tag.name).in_(names))
    return insert(TagRevision).from_select(
        ["artifact_id", "name", "digest", "start_time", "end_time"], rows, include_defaults=False
    )
