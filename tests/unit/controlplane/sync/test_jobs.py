"""Which job answers a request for a sync, and who may run and end it."""

import pytest
from sqlmodel import select

from controlplane.catalog.unknown import Unknown, UnknownReason
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync import fence, jobs
from controlplane.sync.fence import LockLost
from penstock.v1 import artifact_pb2
from tests.fakes.claims import Claims
from tests.fakes.rows import NOW, add_artifact, read_artifact

_Job = artifact_pb2.SyncJob


@pytest.fixture
def claims(database: Database) -> Claims:
    """Give what replicas do."""
    return Claims(database)


async def test_a_request_joins_a_job_that_waits_or_runs(claims: Claims) -> None:
    """However often it is asked for, an artifact is synced once at a time; then again."""
    artifact = await add_artifact(claims.database, "example.com/app")
    first = await claims.request(artifact)
    assert (first.state, first.requested_by) == (_Job.PENDING, "ci@example.com")
    assert (await claims.request(artifact)).uid == first.uid

    claimed = await claims.claim((await claims.waiting())[0])
    assert claimed is not None
    assert claimed[1].uid == artifact.uid
    running = await claims.request(artifact)
    assert (running.uid, running.state) == (first.uid, _Job.RUNNING)

    assert await claims.finish(claimed, _Job.SUCCEEDED)
    assert (await claims.request(artifact)).uid != first.uid


async def test_artifacts_do_not_share_jobs(claims: Claims) -> None:
    """A request for one artifact is not answered by the sync of another."""
    mine, other = [await add_artifact(claims.database, f"example.com/{name}") for name in ("mine", "other")]
    assert (await claims.request(mine)).uid != (await claims.request(other)).uid


@pytest.mark.parametrize(
    ("trigger", "word"), [(_Job.UPSTREAM_CHANGE, "upstream"), (_Job.CREDENTIAL_CHANGE, "credential")]
)
async def test_a_change_wants_a_run_of_its_own(claims: Claims, trigger: int, word: str) -> None:
    """A run over what was before does not answer for it, and ends; one that still waits does."""
    artifact = await add_artifact(claims.database, "example.com/app")
    first = await claims.request(artifact)
    assert (await claims.request(artifact, trigger)).uid == first.uid

    claimed = await claims.claim((await claims.waiting())[0])
    assert claimed is not None
    second = await claims.request(artifact, trigger)
    assert second.uid != first.uid
    (ended, _) = await claims.jobs()
    assert (ended.state, ended.end_time) == (_Job.FAILED, NOW)
    assert f"another {word}" in ended.error
    # Whoever asks now gets the one that goes by what is new, and the late end of the first is not heard.
    assert (await claims.request(artifact)).uid == second.uid
    assert not await claims.finish(claimed, _Job.SUCCEEDED)
    assert (await claims.jobs())[0].state == _Job.FAILED


async def test_a_forced_request_forces_the_job_that_waits(claims: Claims) -> None:
    """Who asks for less does not take it back."""
    artifact = await add_artifact(claims.database, "example.com/app")
    assert not (await claims.request(artifact)).force_removals
    assert (await claims.request(artifact, force=True)).force_removals
    assert (await claims.request(artifact)).force_removals


async def test_a_forced_request_does_not_join_a_run_that_was_not_forced(claims: Claims) -> None:
    """That has begun without: the removals are for one job after it, which all who ask meanwhile join."""
    artifact = await add_artifact(claims.database, "example.com/app")
    claimed = await claims.run(artifact)

    forced = await claims.request(artifact, force=True)
    assert (forced.state, forced.force_removals) == (_Job.PENDING, True)
    assert (
        (await claims.request(artifact, force=True)).uid == (await claims.request(artifact)).uid == forced.uid
    )
    assert await claims.waiting() == []

    assert await claims.finish(claimed, _Job.SUCCEEDED)
    (item,) = await claims.waiting()
    assert await claims.claim(item) is not None
    assert (await claims.request(artifact, force=True)).uid == forced.uid
    assert len(await claims.jobs()) == 2


async def test_a_request_for_a_deleted_artifact_is_refused(claims: Claims) -> None:
    """No job is left for something that is not there."""
    artifact = await add_artifact(claims.database, "example.com/app")
    async with claims.database.write() as session:
        await session.delete(artifact)
    with pytest.raises(Unknown) as caught:
        await claims.request(artifact)
    assert caught.value.reason is UnknownReason.ARTIFACT


@pytest.mark.parametrize("force", [False, True])
async def test_many_are_asked_for_at_once(claims: Claims, force: bool) -> None:
    """Each artifact has one job: that which was there, or a new one; artifacts that are gone have none."""
    artifacts = [await add_artifact(claims.database, f"example.com/{n}") for n in range(5)]
    waits = await claims.request(artifacts[0])
    running = (await claims.run(artifacts[1]))[0]
    ids = [saved_id(artifact) for artifact in artifacts]
    async with claims.database.write() as session:
        found = await jobs.join_or_create_all(
            session, [*ids, 9999], _Job.MANUAL, "me", NOW, force_removals=force
        )

    by_artifact = {job.artifact_id: job for job in found}
    assert set(by_artifact) == set(ids)
    assert by_artifact[ids[0]].uid == waits.uid
    assert {job.force_removals for job in found} == {force}
    # A run that was not forced is not one that removes.
    assert (by_artifact[ids[1]].uid == running.uid) is not force
    assert len(await claims.jobs()) == (6 if force else 5)


async def test_a_job_is_claimed_once(claims: Claims) -> None:
    """Two replicas that find the same job do not both run it."""
    await claims.request(await add_artifact(claims.database, "example.com/app"))
    (item,) = await claims.waiting()
    assert await claims.claim(item) is not None
    assert await claims.claim(item) is None
    assert await claims.waiting() == []


async def test_an_older_lock_claims_nothing(claims: Claims) -> None:
    """Whoever took the lock, fell asleep, and wakes up when another one ran and ended."""
    artifact = await add_artifact(claims.database, "example.com/app")
    await claims.request(artifact)
    (item,) = await claims.waiting()
    late = await claims.lease(item)
    newer = await claims.lease(item, above=late.fence)
    claimed = await claims.claim(item, newer)
    assert claimed is not None
    await claims.finish(claimed, _Job.SUCCEEDED)
    await claims.request(artifact)

    assert await claims.claim((await claims.waiting())[0], late) is None
    # Also the same number twice, after the store of the locks lost its memory.
    assert await claims.claim((await claims.waiting())[0], newer) is None


async def test_a_claim_that_comes_to_nothing_leaves_the_run_alone(claims: Claims) -> None:
    """Whoever got the lock although somebody still runs, runs nothing: what is learned is still written."""
    artifact = await add_artifact(claims.database, "example.com/app")
    running = await claims.run(artifact)
    await claims.request(artifact, force=True)
    async with claims.database.read() as session:
        (job,) = await session.exec(select(SyncJob).where(SyncJob.state == _Job.PENDING))
    item = jobs.Waiting(saved_id(job), saved_id(artifact), artifact.uid, 0, "example.com", scheduled=False)

    assert await claims.claim(item, await claims.lease(item, above=10)) is None
    async with claims.database.write() as session:
        await fence.hold(session, running[1])
    assert await claims.finish(running, _Job.SUCCEEDED)
    assert (await read_artifact(claims.database, artifact)).last_sync_time == NOW


async def test_people_go_first(claims: Claims) -> None:
    """What the schedule asked for before waits."""
    scheduled, manual = [await add_artifact(claims.database, f"example.com/{n}") for n in range(2)]
    await claims.request(scheduled, _Job.SCHEDULE)
    await claims.request(manual, _Job.MANUAL)
    assert [item.scheduled for item in await claims.waiting()] == [False, True]


async def test_busy_hosts_are_left_out(claims: Claims) -> None:
    """By their whole name, with the port."""
    for upstream in ("a.example.com/app", "a.example.com:5000/app", "b_example.com/app", "bxexample.com/app"):
        await claims.request(await add_artifact(claims.database, upstream))
    left = await claims.waiting("a.example.com", "b_example.com")
    assert {item.host for item in left} == {"a.example.com:5000", "bxexample.com"}


async def test_a_late_run_writes_nothing(claims: Claims) -> None:
    """Its fence is outranked from the moment that a newer run is claimed, and its end is not heard."""
    artifact = await add_artifact(claims.database, "example.com/app")
    late = await claims.run(artifact)
    async with claims.database.write() as session:
        await fence.hold(session, late[1])
    late_job = late[0].model_copy()
    async with claims.database.write() as session:
        jobs.end(late[0], "given up", NOW)
        session.add(late[0])
    newer = await claims.run(artifact)

    with pytest.raises(LockLost):
        async with claims.database.write() as session:
            await fence.hold(session, late[1])
    async with claims.database.write() as session:
        await fence.hold(session, newer[1])
    assert not await claims.finish((late_job, late[1]), _Job.SUCCEEDED)
    assert (await read_artifact(claims.database, artifact)).last_sync_time is None


async def test_the_artifact_shows_how_its_last_sync_went(claims: Claims) -> None:
    """Last synced at is the last success; the error is that of the last run, and goes with a success."""
    artifact = await add_artifact(claims.database, "example.com/app")
    for state, error, synced in (
        (_Job.FAILED, "No answer.", None),
        (_Job.SUCCEEDED, "", NOW),
        (_Job.PARTIAL, "1 of 3 tags could not be synced.", NOW),
    ):
        assert await claims.finish(await claims.run(artifact), state, error)
        now = await read_artifact(claims.database, artifact)
        assert (now.last_sync_error, now.last_sync_time) == (error, synced)
        assert (await claims.jobs())[-1].error == error


async def test_a_late_run_says_nothing_of_a_new_upstream(claims: Claims) -> None:
    """The trouble of the old upstream is not shown as that of the new one."""
    artifact = await add_artifact(claims.database, "example.com/app")
    before = await claims.run(artifact)
    async with claims.database.write() as session:
        row = (await session.exec(select(Artifact))).one()
        row.upstream = "example.com/other"
        session.add(row)

    assert await claims.finish(before, _Job.FAILED, "No answer.")

    assert (await read_artifact(claims.database, artifact)).last_sync_error == ""
    assert (await claims.jobs())[0].error == "No answer."
