"""What an artifact holds: its tags, its manifests, and the children of these."""

from collections.abc import AsyncGenerator, Collection, Iterable, Iterator
from itertools import islice
from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.media_types import IMAGES, INDEXES
from clients.oci.platform import is_kept
from controlplane.catalog.unknown import Unknown, UnknownReason
from controlplane.model.artifact_tables import Artifact, Edge, EdgeKind, Manifest, Tag
from controlplane.model.database import Database

# Values in one IN list; SQLite and PostgreSQL both take it, and one statement stays short.
BATCH: Final = 500
# What sync follows from an index. It may name other things as well, which are not errors
# (image specification, image-index.md, `manifests`).
FOLLOWED: Final = INDEXES | IMAGES


async def artifact(session: AsyncSession, uid: str) -> Artifact:
    """Give the artifact with this uid; raises Unknown."""
    found = (await session.exec(select(Artifact).where(Artifact.uid == uid))).first()
    if found is None:
        raise Unknown(UnknownReason.ARTIFACT, "There is no such artifact.")
    return found


async def nothing(session: AsyncSession, artifact_id: int) -> bool:
    """Tell whether the artifact holds no manifest at all."""
    found = await session.exec(select(Manifest.digest).where(Manifest.artifact_id == artifact_id).limit(1))
    return found.first() is None


async def tag_digests(session: AsyncSession, artifact_id: int, names: Iterable[str]) -> dict[str, str]:
    """Give the digest of each of these tags that is held."""
    digests: dict[str, str] = {}
    for batch in batches(names):
        rows = await session.exec(
            select(Tag.name, Tag.digest).where(Tag.artifact_id == artifact_id, col(Tag.name).in_(batch))
        )
        digests.update(rows.all())
    return digests


async def tagged_digests(
    database: Database, artifact_id: int, *, referrers_due: bool
) -> AsyncGenerator[list[str], None]:
    """Yield the digests that tags stand for, each once, some at a time, each page read by itself.

    With `referrers_due`, only those of tags whose referrers no run has asked for.
    """
    chosen = [col(Tag.artifact_id) == artifact_id]
    if referrers_due:
        chosen.append(col(Tag.referrers_due).is_(True))
    after = ""
    while True:
        async with database.read() as session:
            page = list(
                await session.exec(
                    select(Tag.digest)
                    .distinct()
                    .where(*chosen, col(Tag.digest) > after)
                    .order_by(col(Tag.digest))
                    .limit(BATCH)
                )
            )
        if page:
            yield page
            after = page[-1]
        if len(page) < BATCH:
            return


async def tag_pages(database: Database, artifact_id: int, size: int) -> AsyncGenerator[list[str], None]:
    """Yield the names of all tags, `size` at a time, by the order of their bytes ("ASCIIbetical").

    Each page is read by itself: a tag that comes or goes meanwhile is in it or not, the others are once.
    """
    after = ""
    while True:
        async with database.read() as session:
            name = col(Tag.name)
            # PostgreSQL would go by the language of the database; SQLite goes by bytes.
            ordered = name.collate("C") if session.get_bind().dialect.name == "postgresql" else name
            page = list(
                await session.exec(
                    select(Tag.name)
                    .where(Tag.artifact_id == artifact_id, ordered > after)
                    .order_by(ordered)
                    .limit(size)
                )
            )
        if page:
            yield page
            after = page[-1]
        if len(page) < size:
            return


async def children(
    session: AsyncSession, artifact_id: int, digests: Collection[str], platforms: Collection[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Give, for each of these manifests that is held, the manifests that it points at and sync follows.

    Where there are `platforms`, only those of these.
    """
    found: dict[str, list[str]] = {}
    for batch in batches(digests):
        rows = await session.exec(
            select(Manifest.digest).where(
                Manifest.artifact_id == artifact_id, col(Manifest.digest).in_(batch)
            )
        )
        present = list(rows)
        if not present:
            continue
        found.update((digest, []) for digest in present)
        edges = await session.exec(
            select(Edge.parent, Edge.child, Edge.platform).where(
                Edge.artifact_id == artifact_id,
                col(Edge.parent).in_(present),
                Edge.kind == EdgeKind.MANIFEST,
                col(Edge.media_type).in_(FOLLOWED),
            )
        )
        for parent, child, platform in edges:
            if is_kept(platform, platforms):
                found[parent].append(child)
    return {digest: tuple(below) for digest, below in found.items()}


def batches(values: Iterable[str]) -> Iterator[list[str]]:
    """Cut values into lists that fit one IN."""
    rest = iter(values)
    while batch := list(islice(rest, BATCH)):
        yield batch
