"""Drops what artifacts hold in portions, before they go or come from another upstream.

In one transaction, what a large artifact holds would keep SQLite from all others for half a minute, and take
PostgreSQL longer than a statement may. Each portion is whole: no manifest is held without what it points at.
No run is to fill an artifact meanwhile, and where the change that this is for does not come about, one is to
bring back what the upstream still has. Both are up to `take` (`controlplane.sync.emptying`), called in each
portion: whoever empties an artifact may be killed in the middle of it.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import ColumnElement, true
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.catalog import held, store, tagging
from controlplane.catalog.collect import drop
from controlplane.model.artifact_tables import Artifact, Manifest, Tag, TagRevision
from controlplane.model.database import Database
from controlplane.model.portions import delete_some
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob

# Bytes of manifests of one transaction, beside the last of them: what they point at is bounded by it.
_ROOM: Final = 1 << 20
_ALL: Final = true()

Take = Callable[[AsyncSession, int], Awaitable[None]]
"""Keeps others from filling an artifact, by its id, which the transaction has locked."""

_Drop = Callable[[AsyncSession, int], Awaitable[int]]


async def clear(database: Database, artifact: Artifact, now: Callable[[], datetime], take: Take) -> None:
    """Drop what the artifact holds; what its tags stood for is kept.

    To be followed by the transaction that gives it another upstream, drops what came meanwhile
    (`tagging.forget`) and plans its next sync: nodes are told by that. Ends where it was deleted, or given
    one by somebody else.
    """
    await _clear(database, artifact, take, partial(_end_tags, now=now), _drop_manifests)


async def clear_all(database: Database, artifact: Artifact, take: Take) -> None:
    """Drop what the artifact holds and its history: it is about to be deleted.

    Of its sync jobs the last stay: the one that waits, and the one that was ended for this, which is watched.
    """
    tags, history = partial(_drop, table=Tag), partial(_drop, table=TagRevision)
    mine = select(SyncJob.id).where(SyncJob.artifact_id == artifact.id)
    last = mine.order_by(col(SyncJob.id).desc()).limit(2)
    others = col(SyncJob.end_time).is_not(None) & col(SyncJob.id).not_in(last)
    jobs = partial(_drop, table=SyncJob, only=others)
    await _clear(database, artifact, take, tags, _drop_manifests, history, jobs)


async def _clear(database: Database, artifact: Artifact, take: Take, *drops: _Drop) -> None:
    waiting = list(drops)
    with suppress(store.ArtifactChanged):
        while waiting:
            async with database.write(aside=True) as session:
                await store.lock(session, artifact)
                await take(session, saved_id(artifact))
                # Many artifacts hold little: what there is nothing of costs no transaction.
                while waiting and not await waiting[0](session, saved_id(artifact)):
                    del waiting[0]


async def _end_tags(session: AsyncSession, artifact_id: int, *, now: Callable[[], datetime]) -> int:
    rows = (await session.exec(select(Tag).where(Tag.artifact_id == artifact_id).limit(held.BATCH))).all()
    await tagging.end(session, rows, dict.fromkeys((row.name for row in rows), now()))
    names = [row.name for row in rows]
    await session.exec(delete(Tag).where(col(Tag.artifact_id) == artifact_id, col(Tag.name).in_(names)))
    return len(rows)


async def _drop(
    session: AsyncSession,
    artifact_id: int,
    *,
    table: type[Tag] | type[TagRevision] | type[SyncJob],
    only: ColumnElement[bool] = _ALL,
) -> int:
    return await delete_some(session, table, (col(table.artifact_id) == artifact_id) & only, held.BATCH)


async def _drop_manifests(session: AsyncSession, artifact_id: int) -> int:
    rows = await session.exec(
        select(Manifest.digest, Manifest.size).where(Manifest.artifact_id == artifact_id).limit(held.BATCH)
    )
    digests: list[str] = []
    room = _ROOM
    for digest, size in rows:
        if room <= 0:
            break
        digests.append(digest)
        room -= size
    await drop(session, artifact_id, digests)
    return len(digests)
