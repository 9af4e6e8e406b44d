"""What becomes of jobs whose run is not heard of, and of old ones."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlmodel import select

from controlplane.model.database import Database
from controlplane.model.sync_tables import SyncJob, SyncLease
from controlplane.sync import recovery
from penstock.v1 import artifact_pb2
from tests.fakes.claims import LONG, OVER, Claims
from tests.fakes.rows import NOW, add_artifact

_Job = artifact_pb2.SyncJob


@pytest.fixture
def claims(database: Database) -> Claims:
    """Give what replicas do."""
    return Claims(database)


async def _recover(database: Database) -> Sequence[SyncJob]:
    async with database.write() as session:
        return await recovery.recover(session, NOW + timedelta(hours=1))


async def test_a_run_that_is_not_heard_of_is_taken_up(claims: Claims) -> None:
    """It is marked, and has a successor of the same trigger; runs that are heard of go on."""
    gone, lively, ended = [await add_artifact(claims.database, f"example.com/{n}") for n in range(3)]
    lost, _ = await claims.run(gone, OVER)
    running, _ = await claims.run(lively)
    await claims.finish(await claims.run(ended, OVER), _Job.SUCCEEDED)
    async with claims.database.read() as session:
        assert await recovery.waits(session)

    (successor,) = await _recover(claims.database)

    assert (successor.artifact_id, successor.state, successor.trigger) == (gone.id, _Job.PENDING, _Job.MANUAL)
    assert successor.requested_by == "ci@example.com"
    rows = {job.uid: job for job in await claims.jobs()}
    assert rows[lost.uid].state == _Job.FAILED
    assert rows[lost.uid].end_time == NOW + timedelta(hours=1)
    assert "lost its lock" in rows[lost.uid].error
    assert rows[running.uid].state == _Job.RUNNING
    assert await _recover(claims.database) == []
    async with claims.database.read() as session:
        assert not await recovery.waits(session)


async def test_a_lost_run_is_taken_up_once(claims: Claims) -> None:
    """A job that waits already does it."""
    artifact = await add_artifact(claims.database, "example.com/app")
    await claims.run(artifact, OVER)
    async with claims.database.write() as session:
        session.add(
            SyncJob(
                uid="waits", artifact_id=artifact.id, state=_Job.PENDING, trigger=_Job.MANUAL, create_time=NOW
            )
        )

    assert await _recover(claims.database) == []
    assert [job.state for job in await claims.jobs()] == [_Job.FAILED, _Job.PENDING]


async def test_a_beat_keeps_a_run_alive(claims: Claims) -> None:
    """It tells who may go on: not those whose job was ended by others."""
    first, second = [await add_artifact(claims.database, f"example.com/{n}") for n in range(2)]
    alive, _ = await claims.run(first, OVER)
    ended, artifact = await claims.run(second, OVER)
    await claims.finish((ended, artifact), _Job.FAILED)
    async with claims.database.write() as session:
        assert await recovery.beat(session, [alive.owner, ended.owner], LONG) == {alive.owner}
    assert await _recover(claims.database) == []


async def test_a_replica_that_stops_hands_over(claims: Claims) -> None:
    """Its runs end at once and have successors; those of others are left alone."""
    mine, other = [await add_artifact(claims.database, f"example.com/{n}") for n in range(2)]
    stopped, _ = await claims.run(mine)
    await claims.run(other)
    async with claims.database.write() as session:
        (successor,) = await recovery.give_up(session, [stopped.owner], recovery.STOPPED, NOW)
    assert successor.artifact_id == mine.id
    assert [job.state for job in await claims.jobs()] == [_Job.FAILED, _Job.RUNNING, _Job.PENDING]
    assert "another run" in (await claims.jobs())[0].error


async def test_a_replica_that_was_killed_takes_its_own_back(claims: Claims) -> None:
    """When it starts again; another one with a longer name is not meant."""
    mine, other = [await add_artifact(claims.database, f"example.com/{n}") for n in range(2)]
    for artifact, owner in ((mine, "one.a"), (other, "one_more.b")):
        job, _ = await claims.run(artifact)
        async with claims.database.write() as session:
            job.owner = owner
            session.add(job)
    assert await claims.locks.acquire("lock", "one.a", LONG, above=0) is not None
    async with claims.database.write() as session:
        (successor,) = await recovery.take_back(session, "one", NOW)
    assert await claims.locks.acquire("lock", "anybody", LONG, above=0) is not None
    assert successor.artifact_id == mine.id
    assert [job.state for job in await claims.jobs()] == [_Job.FAILED, _Job.RUNNING, _Job.PENDING]


async def test_old_jobs_go_but_for_the_last(claims: Claims) -> None:
    """Each artifact keeps its last job, and every one that has not ended."""
    artifact, quiet = [await add_artifact(claims.database, f"example.com/{n}") for n in range(2)]
    for age in (10, 9, 1):
        await claims.finish(await claims.run(artifact), _Job.SUCCEEDED, now=NOW - timedelta(days=age))
    await claims.finish(await claims.run(quiet), _Job.SUCCEEDED, now=NOW - timedelta(days=400))

    async with claims.database.write() as session:
        assert await recovery.forget(session, NOW - timedelta(days=7)) == 2
    left = [(job.artifact_id, job.end_time) for job in await claims.jobs()]
    assert left == [(artifact.id, NOW - timedelta(days=1)), (quiet.id, NOW - timedelta(days=400))]


async def test_rows_of_locks_that_nobody_holds_go(claims: Claims) -> None:
    """Those that are held, or were lately, stay."""
    async with claims.database.write() as session:
        session.add(SyncLease(name="old", token="", fence=3, expires_at=0))
    held = await claims.locks.acquire("held", "me", LONG, above=0)
    assert held is not None
    async with claims.database.write() as session:
        await recovery.forget(session, NOW)
    async with claims.database.read() as session:
        assert list(await session.exec(select(SyncLease.name))) == ["held"]
