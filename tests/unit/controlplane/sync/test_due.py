"""Artifacts whose time has come get one job for each period."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.sync import due
from controlplane.sync.schedule import Schedule
from penstock.v1 import artifact_pb2
from tests.fakes.claims import Claims
from tests.fakes.rows import NOW, add_artifact, read_artifact

_Job = artifact_pb2.SyncJob
HOURLY = Schedule("@hourly", UTC)


@pytest.fixture
def claims(database: Database) -> Claims:
    """Give what replicas do."""
    return Claims(database)


async def _plan(database: Database, schedule: Schedule = HOURLY) -> int:
    async with database.write() as session:
        return await due.plan(session, schedule, NOW)


async def _create(database: Database, now: datetime) -> int:
    async with database.write() as session:
        return await due.create(session, HOURLY, now)


async def _next(database: Database, artifact: Artifact) -> datetime:
    time = (await read_artifact(database, artifact)).next_sync_time
    assert time is not None
    return time


async def test_each_period_has_one_job(claims: Claims) -> None:
    """Three replicas that look again and again, their clocks a little apart, ask once a period."""
    database = claims.database
    artifacts = [await add_artifact(database, f"example.com/{n}") for n in range(3)]
    assert await _plan(database) == 3
    starts = [await _next(database, artifact) for artifact in artifacts]

    for hour in range(3):
        for start in sorted(starts):
            for skew in (-1, 0, 1):
                await asyncio.gather(
                    *(_create(database, start + timedelta(hours=hour, seconds=skew)) for _ in range(3))
                )
        for item in await claims.waiting():
            claimed = await claims.claim(item)
            assert claimed is not None
            await claims.finish(claimed, _Job.SUCCEEDED)

    asked = [(job.artifact_id, job.trigger, job.requested_by) for job in await claims.jobs()]
    assert sorted(asked) == sorted([(artifact.id, _Job.SCHEDULE, "") for artifact in artifacts] * 3)
    assert [await _next(database, one) for one in artifacts] == [
        start + timedelta(hours=3) for start in starts
    ]


async def test_what_was_missed_is_one_sync(claims: Claims) -> None:
    """After a night of standing still there is one, and the next comes at its time."""
    artifact = await add_artifact(claims.database, "example.com/app")
    await _plan(claims.database)
    start = await _next(claims.database, artifact)
    morning = start + timedelta(hours=9, minutes=20)
    async with claims.database.read() as session:
        assert await due.waits(session, morning)

    assert await _create(claims.database, morning) == 1
    assert await _create(claims.database, morning) == 0
    assert await _next(claims.database, artifact) == start + timedelta(hours=10)
    assert len(await claims.jobs()) == 1


async def test_a_sync_that_runs_is_that_of_the_period(claims: Claims) -> None:
    """The schedule does not put a second one behind it."""
    artifact = await add_artifact(claims.database, "example.com/app")
    await _plan(claims.database)
    await claims.run(artifact)
    assert await _create(claims.database, NOW + timedelta(hours=2)) == 1
    assert [job.trigger for job in await claims.jobs()] == [_Job.MANUAL]


async def test_another_schedule_means_another_time(claims: Claims) -> None:
    """Of the installation, its time zone, or the artifact; and none means none."""
    database = claims.database
    artifact = await add_artifact(database, "example.com/app")
    own = await add_artifact(database, "example.com/own")
    paused = await add_artifact(database, "example.com/paused")
    async with database.write() as session:
        own.sync_schedule, paused.sync_paused = "@daily", True
        session.add_all([own, paused])
    assert await _plan(database) == 2
    assert await _plan(database) == 0
    assert (await read_artifact(database, paused)).next_sync_time is None
    hourly = await _next(database, artifact)

    assert await _plan(database, Schedule("@monthly", UTC)) == 1
    assert await _next(database, artifact) > hourly
    assert await _plan(database, Schedule("", UTC)) == 1
    assert (await read_artifact(database, artifact)).next_sync_time is None
    assert await _next(database, own)
