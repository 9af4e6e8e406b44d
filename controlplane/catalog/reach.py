"""What reaches what inside one artifact: walks over the edges of held manifests."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Float
from sqlmodel import cast, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.media_types import MANIFESTS
from clients.oci.platform import is_kept
from clients.oci.tag_rule import TagRule
from controlplane.catalog.held import FOLLOWED, batches
from controlplane.model.artifact_tables import Edge, EdgeKind, Manifest, Tag

# Manifests that one walk looks at; what is in more of them, none below a tag of the rules, is refused.
_FURTHEST: Final = 20_000
# What a column of bytes takes.
_LARGEST: Final = 2**63 - 1


async def blob(session: AsyncSession, artifact_id: int, digest: str) -> Edge | None:
    """Give an edge from a manifest that the artifact holds to this blob, with its size; None without one."""
    # What an index names beside manifests was once stored as if it were one.
    is_blob = or_(Edge.kind == EdgeKind.BLOB, col(Edge.media_type).not_in(MANIFESTS))
    # Several manifests may share a blob; the order only makes the answer the same every time.
    edges = await session.exec(
        select(Edge)
        .where(Edge.artifact_id == artifact_id, Edge.child == digest, is_blob)
        .order_by(col(Edge.parent))
        .limit(1)
    )
    return edges.first()


async def is_content(session: AsyncSession, artifact_id: int, digest: str) -> bool:
    """Tell whether this is the digest of a config or layer, which is no manifest.

    An image's id is its config's digest, and people pull by it.
    """
    edge = await blob(session, artifact_id, digest)
    return edge is not None and edge.media_type not in MANIFESTS


async def tag_of(
    session: AsyncSession, artifact_id: int, digest: str, rules: Collection[TagRule]
) -> str | None:
    """Give a current tag that one of the rules names and that reaches this digest; None without one.

    Goes upwards, from children to what has them in it and from referrers to their subjects, and stops at
    the first such tag. What is held below a tag that was moved or removed is reached by nothing.
    """
    seen: set[str] = set()
    frontier = {digest}
    while frontier and len(seen) < _FURTHEST:
        seen |= frontier
        above: set[str] = set()
        for batch in batches(sorted(frontier)):
            tags = await session.exec(
                select(Tag.name).where(Tag.artifact_id == artifact_id, col(Tag.digest).in_(batch))
            )
            for tag in tags:
                if any(rule.matches(tag) for rule in rules):
                    return tag
            above.update(
                await session.exec(
                    select(Edge.parent).where(Edge.artifact_id == artifact_id, col(Edge.child).in_(batch))
                )
            )
            above.update(
                await session.exec(
                    select(Manifest.subject).where(
                        Manifest.artifact_id == artifact_id,
                        col(Manifest.digest).in_(batch),
                        Manifest.subject != "",
                    )
                )
            )
        frontier = above - seen
    return None


async def size(session: AsyncSession, artifact_id: int) -> int:
    """Give the bytes of all manifests that the artifact holds and all blobs that they reach, each once.

    At most what a column takes: sizes are what an upstream says, and SQLite's sum of integers may overflow.
    """
    manifests = await session.exec(
        select(func.coalesce(func.sum(cast(Manifest.size, Float)), 0)).where(
            Manifest.artifact_id == artifact_id
        )
    )
    once = (
        select(func.max(Edge.size).label("size"))
        .where(Edge.artifact_id == artifact_id, Edge.kind == EdgeKind.BLOB)
        .group_by(col(Edge.child))
        .subquery()
    )
    blobs = await session.exec(select(func.coalesce(func.sum(cast(once.c.size, Float)), 0)))
    return min(int(manifests.one()) + int(blobs.one()), _LARGEST)


async def incomplete(session: AsyncSession, artifact_id: int, platforms: Collection[str] = ()) -> set[str]:
    """Give the held indexes that lead to a manifest, at any depth, that is not held.

    And what tags stand for that is not held itself: a run wrote them while the artifact was emptied. Where
    there are `platforms`, what is not of these does not count.
    """
    named = await session.exec(
        select(Edge.platform)
        .distinct()
        .where(Edge.artifact_id == artifact_id, Edge.kind == EdgeKind.MANIFEST)
    )
    kept = [platform for platform in named if is_kept(platform, platforms)]
    lacking = await session.exec(
        select(Edge.parent)
        .distinct()
        .outerjoin(
            Manifest,
            (col(Manifest.artifact_id) == Edge.artifact_id) & (col(Manifest.digest) == Edge.child),
        )
        .where(
            Edge.artifact_id == artifact_id,
            Edge.kind == EdgeKind.MANIFEST,
            col(Edge.media_type).in_(FOLLOWED),
            col(Edge.platform).in_(kept),
            col(Manifest.digest).is_(None),
        )
    )
    found = set(lacking)
    frontier = set(found)
    while frontier:
        above: set[str] = set()
        for batch in batches(frontier):
            parents = await session.exec(
                select(Edge.parent).where(Edge.artifact_id == artifact_id, col(Edge.child).in_(batch))
            )
            above.update(parents)
        frontier = above - found
        found |= frontier
    return found | set(
        await session.exec(
            select(Tag.digest)
            .distinct()
            .outerjoin(
                Manifest,
                (col(Manifest.artifact_id) == Tag.artifact_id) & (col(Manifest.digest) == Tag.digest),
            )
            .where(Tag.artifact_id == artifact_id, col(Manifest.digest).is_(None))
        )
    )
