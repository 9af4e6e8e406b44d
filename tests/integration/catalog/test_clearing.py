"""What is dropped of an artifact before it goes or comes from another upstream."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlmodel import SQLModel, col, func, select, update

from controlplane.catalog import clearing
from controlplane.catalog.resolve import Resolver
from controlplane.model.artifact_tables import Artifact, Edge, Manifest, Tag, TagRevision
from controlplane.model.database import Database
from controlplane.model.sync_tables import SyncLease
from controlplane.sync import fence
from controlplane.sync.emptying import Emptying, emptying, is_emptied
from controlplane.sync.fence import LockLost
from controlplane.sync.runner import Syncs
from controlplane.upstream.access import UpstreamAccess
from penstock.v1 import artifact_pb2
from tests.fakes.claims import LONG, Claims
from tests.fakes.images import make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import BOTH_DATABASES, NOW, add_artifact, read_tags
from tests.fakes.waiting import until

pytestmark = BOTH_DATABASES

_SHORT = timedelta(seconds=1)
# Nobody holds its lease any more.
_KILLED = Emptying("emptying killed", "ann@example.com", lambda: NOW)


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

    await clearing.clear(database, artifacts[0], lambda: NOW, _KILLED.take)
    await clearing.clear(database, artifacts[1], lambda: NOW, _KILLED.take)
    await clearing.clear_all(database, artifacts[1], _KILLED.take)

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
    await clearing.clear(database, artifact, lambda: NOW, _KILLED.take)

    assert await _count(database, artifact, Manifest) == 1


async def test_who_is_killed_in_the_middle_leaves_a_sync_that_waits(
    database: Database, fake: FakeRegistry, access: UpstreamAccess
) -> None:
    """The artifact is filled again, also where no schedule would ever have done it."""
    image = fake.add(make_image(), "team/app", ["1.0"])
    artifact = await add_artifact(database, f"{fake.host}/team/app")
    resolver = Resolver(database, access, now=lambda: NOW)
    await resolver.manifest(artifact.uid, "1.0")
    await resolver.stop()
    await clearing.clear(database, artifact, lambda: NOW, _KILLED.take)
    assert await read_tags(database, artifact) == {}

    async def is_whole() -> bool:
        return await read_tags(database, artifact) == {"1.0": str(image.digest)}

    syncs = Syncs(database, access, now=lambda: NOW)
    await syncs.start()
    await until(is_whole)
    await syncs.stop()
    async with database.read() as session:
        assert (await session.exec(select(is_emptied(session)))).all() == [False]


async def test_a_run_is_ended_by_who_empties_and_none_begins_until_that_is_over(database: Database) -> None:
    """Neither one that waits, nor one that has taken the lock by then; nor does the run write what it has."""
    claims = Claims(database)
    artifact = await add_artifact(database, "example.com/app")
    _, running = await claims.run(artifact)
    before = await claims.request(artifact, artifact_pb2.SyncJob.CREDENTIAL_CHANGE)
    (item,) = await claims.waiting()
    lease = await claims.lease(item, above=10)

    async with emptying(database, "ann@example.com", lasting=LONG, now=lambda: NOW) as taken:
        await clearing.clear_all(database, artifact, taken.take)

        assert await claims.waiting() == []
        assert await claims.claim(item, lease) is None
        states = [artifact_pb2.SyncJob.FAILED, artifact_pb2.SyncJob.PENDING]
        assert [job.state for job in await claims.jobs()] == states
        with pytest.raises(LockLost):
            async with database.write() as session:
                await fence.hold(session, running)

    assert [item.job_id for item in await claims.waiting()] == [before.id]


async def test_who_lost_an_artifact_to_a_run_takes_it_back(database: Database) -> None:
    """It was not heard of for too long, and goes on all the same."""
    claims = Claims(database)
    artifact = await add_artifact(database, "example.com/app")
    async with emptying(database, "ann@example.com", lasting=LONG, now=lambda: NOW) as taken:
        await clearing.clear_all(database, artifact, taken.take)
        await _expire(database, 0)
        await claims.run(artifact)
        await _expire(database, 1 << 60)

        await clearing.clear_all(database, artifact, taken.take)

        states = [artifact_pb2.SyncJob.FAILED, artifact_pb2.SyncJob.PENDING]
        assert [job.state for job in await claims.jobs()] == states


async def _expire(database: Database, at: int) -> None:
    async with database.write() as session:
        which = col(SyncLease.name).startswith("emptying ")
        await session.exec(update(SyncLease).where(which).values(expires_at=at))


async def test_who_could_not_say_once_that_it_goes_on_says_it_again(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """The database refused it, with an error that nobody foresaw."""
    artifact = await add_artifact(database, "example.com/app")

    async def is_kept() -> bool:
        async with database.read() as session:
            return (await session.exec(select(is_emptied(session)))).one()

    async def is_told() -> bool:
        return "Renewing a lease failed" in caplog.text

    async with emptying(database, "ann@example.com", lasting=_SHORT, now=lambda: NOW) as taken:
        await clearing.clear_all(database, artifact, taken.take)
        async with database.write() as session:
            await session.exec(update(SyncLease).values(expires_at=0))
            session.add(SyncLease(name="other", token="other", fence=1, expires_at=1))
            await session.flush()
            await session.exec(text("CREATE UNIQUE INDEX one_held ON sync_lease ((expires_at > 0))"))
        await until(is_told)
        async with database.write() as session:
            await session.exec(text("DROP INDEX one_held"))
        await until(is_kept)
