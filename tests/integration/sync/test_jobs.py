"""How runs begin, join, are followed, and survive what happens around them."""

import asyncio
from contextlib import aclosing

from sqlalchemy import text
from sqlmodel import select

from controlplane.catalog import tagging
from controlplane.model.artifact_tables import Artifact
from controlplane.model.saved import saved_id
from penstock.v1 import artifact_pb2
from tests.fakes.away import Away
from tests.fakes.images import make_image, make_index
from tests.fakes.rows import BOTH_DATABASES, NOW, add_artifact
from tests.fakes.synced import Bench, ended
from tests.fakes.waiting import until

pytestmark = BOTH_DATABASES

_Job = artifact_pb2.SyncJob


async def test_requests_during_a_run_join_it(bench: Bench) -> None:
    """Ten requests at once are one run: one listing of the tags."""
    bench.add(make_image(), "1.0")
    bench.fake.faults.add("tags", delay=0.2)

    async with bench.running() as syncs:
        jobs = await asyncio.gather(*(bench.request(syncs) for _ in range(10)))
        assert len({job.uid for job in jobs}) == 1
        states = await asyncio.gather(*(ended(syncs, job) for job in jobs))
        assert {state.state for state in states} == {_Job.SUCCEEDED}
        assert bench.fake.count(kind="tags") == 1

        assert (await bench.request(syncs)).uid != jobs[0].uid


async def test_artifacts_are_synced_side_by_side(bench: Bench) -> None:
    """One upstream that hangs does not keep the others waiting."""
    bench.fake.faults.add("manifests", reference="hangs", stall=True)
    bench.add(make_image(seed=1), "hangs")
    bench.fake.add(make_image(seed=2), "team/other", ["1.0"])
    other = await add_artifact(bench.database, f"{bench.fake.host}/team/other")

    async with bench.running() as syncs:
        await bench.request(syncs)
        job = await syncs.request(saved_id(other), _Job.MANUAL, "")
        assert (await ended(syncs, job)).state == _Job.SUCCEEDED


async def test_more_artifacts_than_run_at_once_all_get_their_turn(bench: Bench) -> None:
    """A queue of twenty syncs drains."""
    async with bench.running() as syncs:
        jobs = []
        for number in range(20):
            bench.fake.add(make_image(seed=number), f"many/{number}", ["1.0"])
            artifact = await add_artifact(bench.database, f"{bench.fake.host}/many/{number}")
            jobs.append(await syncs.request(saved_id(artifact), _Job.MANUAL, ""))
        states = [await ended(syncs, job) for job in jobs]
    assert {state.state for state in states} == {_Job.SUCCEEDED}


async def test_a_job_can_be_followed(bench: Bench) -> None:
    """Who watches sees it begin, the number of tags, and the end, and never goes back."""
    gate = asyncio.Event()
    for number in range(10):
        bench.add(make_image(seed=number), f"v{number}")
    bench.fake.faults.add("manifests", method="GET", pause_after=5, gate=gate, times=1)

    seen = []
    async with bench.running() as syncs, asyncio.timeout(30):
        job = await bench.request(syncs)
        async with aclosing(syncs.watch(job.uid)) as states:
            async for state in states:
                seen.append(state)
                if state.tags_done == 9:
                    gate.set()

    assert seen[0].state in (_Job.PENDING, _Job.RUNNING)
    assert (seen[-1].state, seen[-1].tags_done) == (_Job.SUCCEEDED, 10)
    assert [state.tags_done for state in seen] == sorted(state.tags_done for state in seen)
    assert any(state.state == _Job.RUNNING and state.tags_total == 10 for state in seen)


async def test_a_job_that_has_ended_is_shown_once(bench: Bench) -> None:
    """Who comes late gets the outcome, and who asks for nothing gets nothing."""
    async with bench.running() as syncs:
        job = await bench.request(syncs)
        await ended(syncs, job)
        async with aclosing(syncs.watch(job.uid)) as states:
            assert [state.state async for state in states] == [_Job.SUCCEEDED]
        async with aclosing(syncs.watch("no-such-job")) as states:
            assert [state async for state in states] == []


async def test_a_restart_takes_up_an_interrupted_run(bench: Bench) -> None:
    """What was written stays and is not fetched again; the job is marked and another one finishes."""
    early = bench.add(make_index([make_image(seed=1), make_image(seed=2)]), "a-early")
    late = bench.add(make_image(seed=3), "b-late")
    bench.fake.faults.add("manifests", method="GET", reference=str(late.digest), stall=True)
    async with bench.running() as syncs:
        interrupted = await bench.request(syncs)
        await until(lambda: bench.holds("a-early"))
    bench.fake.faults.clear()
    bench.fake.requests.clear()

    async with bench.running() as syncs:
        before, successor = await bench.jobs()
        assert (before.uid, before.state) == (interrupted.uid, _Job.FAILED)
        assert (await ended(syncs, successor)).state == _Job.SUCCEEDED

    assert await bench.tags() == {"a-early": str(early.digest), "b-late": str(late.digest)}
    assert bench.fake.count("GET", "manifests") == 1


async def test_a_restart_runs_what_was_waiting(bench: Bench) -> None:
    """A request that was answered is not forgotten."""
    bench.add(make_image(), "1.0")
    async with bench.running() as syncs:
        pass
    # The process has stopped, but for this one call.
    job = await bench.request(syncs)

    async with bench.running() as syncs:
        assert (await ended(syncs, job)).state == _Job.SUCCEEDED


async def test_a_new_upstream_does_not_wait_for_the_old_one(bench: Bench) -> None:
    """The run that hangs at the old upstream ends at once, and writes nothing under the new one."""
    bench.add(make_image(seed=1), "old", "hangs")
    new = bench.fake.add(make_image(seed=2), "team/new", ["new"])
    bench.fake.faults.add("manifests", reference="hangs", stall=True)

    async with bench.running() as syncs, asyncio.timeout(60):
        old_job = await bench.request(syncs)
        await until(lambda: bench.holds("old"))
        async with bench.database.write() as session:
            row = (await session.exec(select(Artifact))).one()
            row.upstream = f"{bench.fake.host}/team/new"
            session.add(row)
            await tagging.forget(bench.database, session, saved_id(row), NOW)
        new_job = await bench.request(syncs, _Job.UPSTREAM_CHANGE)

        assert (await ended(syncs, new_job)).state == _Job.SUCCEEDED
        assert "another upstream" in (await ended(syncs, old_job)).error

    assert await bench.tags() == {"new": str(new.digest)}


async def test_an_artifact_that_is_deleted_takes_its_run_with_it(bench: Bench) -> None:
    """The run ends without a trace, and the next artifact is synced as ever."""
    bench.add(make_image(seed=1), "1.0")
    gate = asyncio.Event()
    bench.fake.faults.add("manifests", method="GET", pause_after=5, gate=gate)
    bench.fake.add(make_image(seed=2), "team/other", ["1.0"])

    async with bench.running() as syncs:
        job = await bench.request(syncs)
        await until(lambda: bench.asked("GET", "manifests"))
        async with bench.database.write() as session:
            await session.delete((await session.exec(select(Artifact))).one())
        async with asyncio.timeout(30), aclosing(syncs.watch(job.uid)) as states:
            assert [state async for state in states] == []
        gate.set()

        other = await add_artifact(bench.database, f"{bench.fake.host}/team/other")
        job = await syncs.request(saved_id(other), _Job.MANUAL, "")
        assert (await ended(syncs, job)).state == _Job.SUCCEEDED
    assert len(await bench.manifests()) == 1


async def test_a_database_that_goes_away_loses_no_outcome(bench: Bench) -> None:
    """The run is over, and the job says so as soon as it can be written."""
    bench.add(make_image(), "1.0")
    gate = asyncio.Event()
    bench.fake.faults.add("manifests", method="GET", pause_after=5, gate=gate)
    database = Away(bench.database)

    async with bench.running(database=database) as syncs:
        job = await bench.request(syncs)
        await until(lambda: bench.asked("GET", "manifests"))
        database.away = True
        gate.set()
        async with asyncio.timeout(30):
            await database.refused.wait()
        database.away = False
        outcome = await ended(syncs, job)
    assert (outcome.tags_done, outcome.tags_new) == (1, 1)
    assert await bench.holds("1.0")


async def test_what_the_database_never_takes_ends_the_run(bench: Bench) -> None:
    """The job fails and is over: it is not taken up again and again, as a lost one is."""
    bench.add(make_image(), "1.0")
    refusal = {
        "sqlite": "CREATE TRIGGER refusal BEFORE INSERT ON manifest BEGIN SELECT RAISE(ABORT, 'no'); END",
        "postgresql": "ALTER TABLE manifest ADD CONSTRAINT refusal CHECK (size < 0)",
    }
    async with bench.database.write() as session:
        connection = await session.connection()
        await connection.execute(text(refusal[connection.dialect.name]))

    job = await bench.sync()

    assert job.state == _Job.FAILED
    assert "broke off on an error of Penstock" in job.error
    assert await bench.tags() == {}
    assert len(await bench.jobs()) == 1
