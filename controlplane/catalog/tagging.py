"""Writes what tags stand for, and keeps what they stood for."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy
from sqlalchemy import insert, literal
from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.catalog import held, store
from controlplane.catalog.collect import collect
from controlplane.model.artifact_tables import Artifact, Edge, Manifest, Tag, TagRevision
from controlplane.model.database import Database
from controlplane.model.portions import delete_some


@dataclass(frozen=True, slots=True)
class TagChanges:
    """What became of tags: how many are new, and how many moved to another digest."""

    new: int = 0
    moved: int = 0


async def set_tags(
    database: Database,
    session: AsyncSession,
    artifact_id: int,
    tags: Mapping[str, str],
    now: datetime,
    *,
    asked: Mapping[str, datetime] | None = None,
) -> TagChanges:
    """Make tags stand for digests, writing only those that did not; then nodes are told to ask again.

    Referrers of what is written are due until `note_referrers`.

    `asked` says when the upstream was asked about each, where that is not `now`: what it said of a tag to
    somebody who asked later stays. What the digests name is to be stored before, or in this transaction; the
    artifact is locked.
    """
    times = dict.fromkeys(tags, now) | dict(asked or {})
    before = await _rows(session, artifact_id, tags)
    changed = {
        name: digest
        for name, digest in tags.items()
        if name not in before
        or (before[name].digest != digest and not _is_later(before[name], times[name], now))
    }
    if not changed:
        return TagChanges()
    moved = [before[name] for name in changed if name in before]
    await end(session, moved, times)
    added = store.insert_into(session, Tag)
    await session.exec(
        added.on_conflict_do_update(
            index_elements=["artifact_id", "name"],
            set_={
                "digest": added.excluded.digest,
                "update_time": added.excluded.update_time,
                "missing_runs": 0,
                "left_out": added.excluded.left_out,
                "referrers_due": added.excluded.referrers_due,
            },
        ),
        params=[
            {
                "artifact_id": artifact_id,
                "name": name,
                "digest": digest,
                "create_time": times[name],
                "update_time": times[name],
                "missing_runs": 0,
                "left_out": False,
                "referrers_due": True,
            }
            for name, digest in changed.items()
        ],
    )
    await store.raise_content_revision(database, session, artifact_id)
    return TagChanges(new=len(changed) - len(moved), moved=len(moved))


async def have_referrers_due(session: AsyncSession, artifact_id: int) -> None:
    """Have the upstream asked for the referrers of all that is tagged. The artifact is locked."""
    others = (col(Tag.artifact_id) == artifact_id, ~col(Tag.referrers_due))
    await session.exec(update(Tag).where(*others).values(referrers_due=True))


async def note_referrers(session: AsyncSession, artifact_id: int, digests: Collection[str]) -> None:
    """Note that the upstream was asked for the referrers of these digests, and that what it said is stored.

    The artifact is locked.
    """
    for batch in held.batches(digests):
        await session.exec(
            update(Tag)
            .where(col(Tag.artifact_id) == artifact_id, col(Tag.digest).in_(batch), col(Tag.referrers_due))
            .values(referrers_due=False)
        )


async def seen_since(
    session: AsyncSession, artifact_id: int, names: Iterable[str], asked: datetime, now: datetime
) -> set[str]:
    """Give those of these tags that the upstream was seen to have by who asked later than `asked`."""
    rows = await _rows(session, artifact_id, names)
    return {name for name, row in rows.items() if _is_later(row, asked, now)}


async def remove_tags(
    database: Database,
    session: AsyncSession,
    artifact_id: int,
    names: Collection[str],
    now: datetime,
    *,
    listed: datetime,
) -> int:
    """Let tags that a listing did not have be held no more, nor what they alone led to; gives how many.

    Those that the upstream was seen to have since it was asked for the listing, at `listed`, stay. Nodes are
    told to ask again. Tags and manifests go in one transaction: nothing would find a manifest again that lost
    its tag and stayed. The artifact is locked.
    """
    found = await _rows(session, artifact_id, names)
    rows = {name: row for name, row in found.items() if not _is_later(row, listed, now)}
    if not rows:
        return 0
    await end(session, rows.values(), dict.fromkeys(rows, now))
    for batch in held.batches(rows):
        await session.exec(delete(Tag).where(col(Tag.artifact_id) == artifact_id, col(Tag.name).in_(batch)))
    await collect(session, artifact_id, {row.digest for row in rows.values()})
    await store.raise_content_revision(database, session, artifact_id)
    return len(rows)


async def forget(database: Database, session: AsyncSession, artifact_id: int, now: datetime) -> None:
    """Drop the artifact's content: it is about to come from another upstream. What tags stood for is kept.

    Nearly all of it is to be dropped before (`clearing.clear`), for this is one transaction.
    """
    columns = (col(Tag.artifact_id), col(Tag.name), col(Tag.digest), col(Tag.update_time), literal(now))
    await session.exec(
        insert(TagRevision).from_select(
            ["artifact_id", "name", "digest", "start_time", "end_time"],
            sqlalchemy.select(*columns).where(col(Tag.artifact_id) == artifact_id),
            include_defaults=False,
        )
    )
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
    return await delete_some(session, TagRevision, col(TagRevision.end_time) < before, held.BATCH)


async def _rows(session: AsyncSession, artifact_id: int, names: Iterable[str]) -> dict[str, Tag]:
    rows: dict[str, Tag] = {}
    for batch in held.batches(names):
        found = await session.exec(
            select(Tag).where(Tag.artifact_id == artifact_id, col(Tag.name).in_(batch))
        )
        rows.update((row.name, row) for row in found)
    return rows


def _is_later(row: Tag, asked: datetime, now: datetime) -> bool:
    """Tell whether the upstream was asked about a tag later than `asked`.

    Times to come are those of a clock that was wrong: they must not keep a tag as it is until then.
    """
    return any(time is not None and asked < time <= now for time in (row.update_time, row.seen_time))


async def end(session: AsyncSession, rows: Collection[Tag], times: Mapping[str, datetime]) -> None:
    """Note that tags stood for what they stand for until these times."""
    ended = [
        {
            "artifact_id": row.artifact_id,
            "name": row.name,
            "digest": row.digest,
            "start_time": row.update_time,
            "end_time": times[row.name],
        }
        for row in rows
    ]
    if ended:
        await session.exec(insert(TagRevision), params=ended)
