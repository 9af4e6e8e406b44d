"""What reaches what inside one artifact: walks over the edges of held manifests."""

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.catalog.held import FOLLOWED, batches
from controlplane.model.tables import Edge, EdgeKind, Manifest


async def blob(session: AsyncSession, artifact_id: int, digest: str) -> Edge | None:
    """Give an edge from a manifest that the artifact holds to this blob, with its size; None without one."""
    # Several manifests may share a blob; the order only makes the answer the same every time.
    edges = await session.exec(
        select(Edge)
        .where(Edge.artifact_id == artifact_id, Edge.child == digest, Edge.kind == EdgeKind.BLOB)
        .order_by(col(Edge.parent))
        .limit(1)
    )
    return edges.first()


async def incomplete(session: AsyncSession, artifact_id: int) -> set[str]:
    """Give the held indexes that lead to a manifest, at any depth, that is not held."""
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
    return found
