"""What is dropped of an artifact before it goes or comes from another upstream."""

from datetime import timedelta

from sqlmodel import SQLModel, col, func, select

from controlplane.catalog import clearing
from controlplane.catalog.resolve import Resolver
from controlplane.model.artifact_tables import Artifact, Edge, Manifest, Tag, TagRevision
from controlplane.model.database import Database
from controlplane.sync.runner import Syncs
from controlplane.upstream.access import UpstreamAccess
from tests.fakes.images import make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import BOTH_DATABASES, NOW, add_artifact, read_artifact, read_tags
from tests.fakes.waiting import until

pytestmark = BOTH_DATABASES


async def _count(database: Database, artifact: Artifact, table: type[SQLModel]) -> int:
    column = col(getattr(table, "artifact_id"))  # noqa: B009 - of each of these tables
    async with database.read() as session:
        return (await session.exec(select(func.count()).where(column == artifact.id))).one()


async def test_all_of_one_artifact_and_nothing_of_others(
    database: Database, fake: FakeRegistry, access: UpstreamAccess
) -> None:
    """With a history for the artifact that stays, without one for the artifact that goes."""
    fake.add(make_index([make_image()]), "team/app", ["1.0", "latest"])
    artifacts = [await add_artifact(database, f"{fake.host}/team/app") for _ in range(3)]
    resolver = Resolver(database, access, now=lambda: NOW)
    for artifact in artifacts:
        for tag in ("1.0", "latest"):
            await resolver.manifest(artifact.uid, tag)
    await resolver.stop()

    await clearing.clear(database, artifacts[0], lambda: NOW)
    await clearing.clear(database, artifacts[1], lambda: NOW)
    await clearing.clear_all(database, artifacts[1], lambda: NOW)

    counts = [
        [await _count(database, artifact, table) for table in (Tag, Manifest, Edge, TagRevision)]
        for artifact in artifacts
    ]
    assert counts == [[0, 0, 0, 2], [0, 0, 0, 0], [2, 1, 1, 0]]


async def test_what_came_from_another_upstream_meanwhile_stays(
    database: Database, fake: FakeRegistry, access: UpstreamAccess
) -> None:
    """Somebody else was quicker to give the artifact another one."""
    fake.add(make_image(), "team/app", ["1.0"])
    artifact = await add_artifact(database, f"{fake.host}/team/app")
    resolver = Resolver(database, access, now=lambda: NOW)
    await resolver.manifest(artifact.uid, "1.0")
    await resolver.stop()

    artifact.upstream = f"{fake.host}/team/former"
    await clearing.clear(database, artifact, lambda: NOW)

    assert await _count(database, artifact, Manifest) == 1


async def test_who_is_killed_in_the_middle_leaves_a_sync_that_is_due(
    database: Database, fake: FakeRegistry, access: UpstreamAccess
) -> None:
    """The artifact is filled again within minutes, also where no schedule would ever have done it."""
    image = fake.add(make_image(), "team/app", ["1.0"])
    artifact = await add_artifact(database, f"{fake.host}/team/app")
    resolver = Resolver(database, access, now=lambda: NOW)
    await resolver.manifest(artifact.uid, "1.0")
    await resolver.stop()
    await clearing.clear(database, artifact, lambda: NOW)
    assert await read_tags(database, artifact) == {}

    async def is_whole() -> bool:
        return await read_tags(database, artifact) == {"1.0": str(image.digest)}

    syncs = Syncs(database, access, now=lambda: NOW + timedelta(minutes=6))
    await syncs.start()
    await until(is_whole)
    await syncs.stop()
    assert (await read_artifact(database, artifact)).next_sync_time is None
