"""Which job answers a request for a sync, and what becomes of jobs over a restart."""

from datetime import timedelta

import pytest
from sqlmodel import select

from controlplane.catalog.unknown import Unknown, UnknownReason
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.tables import Artifact, SyncJob
from controlplane.sync import jobs
from controlplane.sync.tally import Tally
from penstock.v1 import artifact_pb2
from tests.fakes.rows import NOW, add_artifact, read_artifact

_Job = artifact_pb2.SyncJob


async def _request(
    database: Database, artifact: Artifact, trigger: int = _Job.MANUAL
) -> tuple[SyncJob, SyncJob | None]:
    async with database.write() as session:
        return await jobs.join_or_create(session, saved_id(artifact), trigger, "ci@example.com", NOW)


async def _claim(database: Database, job: SyncJob) -> Artifact | None:
    assert job.id is not None
    async with database.write() as session:
        return await jobs.claim(session, job.id, NOW)


async def _finish(database: Database, job: SyncJob, artifact: Artifact, state: int, error: str) -> None:
    assert job.id is not None
    async with database.write() as session:
        await jobs.finish(session, job.id, artifact, state, error, Tally(tags_total=3), NOW)


async def _jobs(database: Database) -> list[SyncJob]:
    async with database.read() as session:
        return list(await session.exec(select(SyncJob).order_by("id")))


async def test_a_request_joins_a_job_that_waits_or_runs(database: Database) -> None:
    """However often it is asked for, an artifact is synced once at a time; then again."""
    artifact = await add_artifact(database, "example.com/app")
    first, _ = await _request(database, artifact)
    assert (first.state, first.requested_by) == (_Job.PENDING, "ci@example.com")
    assert (await _request(database, artifact))[0].uid == first.uid

    assert (await _claim(database, first)) == artifact
    running, superseded = await _request(database, artifact)
    assert (running.uid, running.state, superseded) == (first.uid, _Job.RUNNING, None)

    await _finish(database, first, artifact, _Job.SUCCEEDED, "")
    assert (await _request(database, artifact))[0].uid != first.uid


async def test_artifacts_do_not_share_jobs(database: Database) -> None:
    """A request for one artifact is not answered by the sync of another."""
    mine, other = [await add_artifact(database, f"example.com/{name}") for name in ("mine", "other")]
    assert (await _request(database, mine))[0].uid != (await _request(database, other))[0].uid


async def test_a_new_upstream_wants_a_run_of_its_own(database: Database) -> None:
    """A run over the old upstream does not answer for the new one; one that still waits does."""
    artifact = await add_artifact(database, "example.com/app")
    first, _ = await _request(database, artifact)
    assert (await _request(database, artifact, _Job.UPSTREAM_CHANGE))[0].uid == first.uid

    await _claim(database, first)
    second, superseded = await _request(database, artifact, _Job.UPSTREAM_CHANGE)
    assert superseded is not None
    assert superseded.uid == first.uid
    assert second.uid != first.uid
    # Whoever asks now gets the one that will look at the new upstream.
    assert (await _request(database, artifact))[0].uid == second.uid


async def test_a_request_for_a_deleted_artifact_is_refused(database: Database) -> None:
    """No job is left for something that is not there."""
    artifact = await add_artifact(database, "example.com/app")
    async with database.write() as session:
        await session.delete(artifact)
    with pytest.raises(Unknown) as caught:
        await _request(database, artifact)
    assert caught.value.reason is UnknownReason.ARTIFACT


async def test_a_job_is_claimed_once(database: Database) -> None:
    """Two processes that find the same job do not both run it."""
    job, _ = await _request(database, await add_artifact(database, "example.com/app"))
    assert await _claim(database, job) is not None
    assert await _claim(database, job) is None


async def test_the_artifact_shows_how_its_last_sync_went(database: Database) -> None:
    """Last synced at is the last success; the error is that of the last run, and goes with a success."""
    artifact = await add_artifact(database, "example.com/app")
    for state, error, synced in (
        (_Job.FAILED, "No answer.", None),
        (_Job.SUCCEEDED, "", NOW),
        (_Job.PARTIAL, "1 of 3 tags could not be synced.", NOW),
    ):
        job, _ = await _request(database, artifact)
        await _claim(database, job)
        await _finish(database, job, artifact, state, error)
        now = await read_artifact(database, artifact)
        assert (now.last_sync_error, now.last_sync_time) == (error, synced)
        assert (await _jobs(database))[-1].error == error


async def test_a_late_run_says_nothing_of_a_new_upstream(database: Database) -> None:
    """The trouble of the old upstream is not shown as that of the new one."""
    artifact = await add_artifact(database, "example.com/app")
    job, _ = await _request(database, artifact)
    before = await _claim(database, job)
    assert before is not None
    async with database.write() as session:
        row = (await session.exec(select(Artifact))).one()
        row.upstream = "example.com/other"
        session.add(row)

    await _finish(database, job, before, _Job.FAILED, "No answer.")

    assert (await read_artifact(database, artifact)).last_sync_error == ""
    assert (await _jobs(database))[0].error == "No answer."


async def test_after_a_restart_interrupted_work_is_taken_up(database: Database) -> None:
    """A job that ran is marked and has a successor; jobs that waited still wait; ended ones stay."""
    ended, ran, waited = [await add_artifact(database, f"example.com/{n}") for n in ("a", "b", "c")]
    old, _ = await _request(database, ended)
    await _claim(database, old)
    await _finish(database, old, ended, _Job.SUCCEEDED, "")
    interrupted, _ = await _request(database, ran, _Job.CREATION)
    await _claim(database, interrupted)
    waiting, _ = await _request(database, waited)

    later = NOW + timedelta(hours=1)
    async with database.write() as session:
        resumed = await jobs.recover(session, later)

    assert [job.artifact_id for job in resumed] == [waited.id, ran.id]
    assert resumed[0].uid == waiting.uid
    assert (resumed[1].state, resumed[1].trigger) == (_Job.PENDING, _Job.CREATION)
    assert resumed[1].requested_by == "ci@example.com"
    rows = {job.uid: job for job in await _jobs(database)}
    assert rows[interrupted.uid].state == _Job.FAILED
    assert rows[interrupted.uid].end_time == later
    assert "another run" in rows[interrupted.uid].error
    assert rows[old.uid].state == _Job.SUCCEEDED
