"""Drops manifests that nothing leads to any more, from the top down."""

from collections.abc import Collection
from itertools import islice

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from controlplane.catalog.held import BATCH
from controlplane.model.artifact_tables import Edge, EdgeKind, Manifest, Tag


async def collect(session: AsyncSession, artifact_id: int, digests: Collection[str]) -> None:
    """Drop those of these manifests that have no tag, no parent and no subject that is held.

    What only they led to and what referred to them goes as well, to the end. The artifact is locked.
    """
    waiting = set(digests)
    while waiting:
        batch = list(islice(waiting, BATCH))
        waiting.difference_update(batch)
        waiting |= await _collect(session, artifact_id, batch)


async def drop(session: AsyncSession, artifact_id: int, digests: Collection[str]) -> None:
    """Drop these manifests, at most BATCH, with their edges, whatever leads to them.

    The artifact is locked.
    """
    edges = (col(Edge.artifact_id) == artifact_id, col(Edge.parent).in_(digests))
    manifests = (col(Manifest.artifact_id) == artifact_id, col(Manifest.digest).in_(digests))
    await session.exec(delete(Edge).where(*edges))
    await session.exec(delete(Manifest).where(*manifests))


async def _collect(session: AsyncSession, artifact_id: int, batch: Collection[str]) -> set[str]:
    """Drop what may go of at most BATCH manifests; gives what these led to, and what referred to them."""
    used: set[str] = set()
    for statement in (
        select(Tag.digest).where(Tag.artifact_id == artifact_id, col(Tag.digest).in_(batch)),
        select(Edge.child).where(
            Edge.artifact_id == artifact_id, col(Edge.child).in_(batch), Edge.kind == EdgeKind.MANIFEST
        ),
        _about_held(artifact_id, batch),
    ):
        used.update(await session.exec(statement))
    gone = [digest for digest in batch if digest not in used]
    if not gone:
        return set()
    following = set(
        await session.exec(
            select(Edge.child).where(
                Edge.artifact_id == artifact_id, col(Edge.parent).in_(gone), Edge.kind == EdgeKind.MANIFEST
            )
        )
    )
    following.update(
        await session.exec(
            select(Manifest.digest).where(
                Manifest.artifact_id == artifact_id, col(Manifest.subject).in_(gone)
            )
        )
    )
    await drop(session, artifact_id, gone)
    return following


def _about_held(artifact_id: int, digests: Collection[str]) -> SelectOfScalar[str]:
    """Choose those of the manifests whose subject is held."""
    subjects = select(Manifest.digest).where(Manifest.artifact_id == artifact_id)
    return select(Manifest.digest).where(
        Manifest.artifact_id == artifact_id,
        col(Manifest.digest).in_(digests),
        Manifest.subject != "",
        col(Manifest.subject).in_(subjects),
    )
