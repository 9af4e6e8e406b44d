"""Several control planes on one database: each sync is run by one of them, and none is lost with one."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry
from sqlmodel import select, update

from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob, SyncLease
from controlplane.sync.measures import SyncMeasures
from controlplane.sync.schedule import Schedule
from penstock.v1 import artifact_pb2
from tests.fakes.images import make_image
from tests.fakes.rows import NOW, add_artifact
from tests.fakes.synced import Bench, ended
from tests.fakes.waiting import until

_Job = artifact_pb2.SyncJob
SHORT = timedelta(seconds=1)


async def _state(bench: Bench, uid: str) -> int:
    return next(job.state for job in await bench.jobs() if job.uid == uid)


async def test_a_run_of_another_replica_is_joined_and_followed(bench: Bench) -> None:
    """Whoever is asked, there is one run, and its progress is seen from everywhere."""
    bench.add(make_image(), "1.0")
    gate = asyncio.Event()
    bench.fake.faults.add("manifests", method="GET", pause_after=5, gate=gate)
    async with bench.running() as one, bench.running() as two:
        job = await bench.request(one)
        await until(lambda: bench.asked("GET", "manifests"))
        assert (await bench.request(two)).uid == job.uid
        following = [asyncio.create_task(ended(syncs, job)) for syncs in (one, two)]
        gate.set()
        assert {(await task).state for task in following} == {_Job.SUCCEEDED}
    assert bench.fake.count(kind="tags") == 1


async def test_work_that_one_replica_wrote_is_done_by_all(bench: Bench) -> None:
    """One that may run a single sync at once leaves the others to those that have room."""
    gate = asyncio.Event()
    bench.fake.faults.add("tags", pause_after=0, gate=gate)
    registries = [CollectorRegistry(), CollectorRegistry()]
    async with AsyncExitStack() as stack:
        one, _ = [
            await stack.enter_async_context(bench.running(parallel=1, measures=SyncMeasures(registry)))
            for registry in registries
        ]
        jobs = []
        for number in range(4):
            bench.fake.add(make_image(seed=number), f"many/{number}", ["1.0"])
            artifact = await add_artifact(bench.database, f"{bench.fake.host}/many/{number}")
            jobs.append(await one.request(saved_id(artifact), _Job.MANUAL, ""))
        await asyncio.wait_for(bench.fake.asked("tags", 2), 30)
        assert [registry.get_sample_value("penstock_sync_locks_held") for registry in registries] == [1, 1]
        gate.set()
        assert {(await ended(one, job)).state for job in jobs} == {_Job.SUCCEEDED}


async def test_one_host_does_not_take_all_places(bench: Bench) -> None:
    """The rest of the places is for artifacts of other hosts."""
    gate = asyncio.Event()
    bench.fake.faults.add("tags", pause_after=0, gate=gate)
    async with bench.running(parallel=8, parallel_per_host=2) as syncs:
        jobs = []
        for number in range(4):
            bench.fake.add(make_image(seed=number), f"many/{number}", ["1.0"])
            artifact = await add_artifact(bench.database, f"{bench.fake.host}/many/{number}")
            jobs.append(await syncs.request(saved_id(artifact), _Job.MANUAL, ""))
        port = bench.fake.host.partition(":")[2]
        other = await add_artifact(bench.database, f"localhost:{port}/many/0")
        # Asked for last, and begun while the others wait for their host.
        last = await syncs.request(saved_id(other), _Job.MANUAL, "")

        async def running() -> bool:
            return await _state(bench, last.uid) == _Job.RUNNING

        await until(running)
        states = [job.state for job in await bench.jobs()]
        assert states.count(_Job.RUNNING) == 3
        assert states.count(_Job.PENDING) == 2
        gate.set()
        assert {(await ended(syncs, job)).state for job in [*jobs, last]} == {_Job.SUCCEEDED}


async def test_a_crashed_run_is_taken_up_by_another_replica(bench: Bench) -> None:
    """Its job is marked, and another one finishes the work; the late one writes nothing."""
    bench.add(make_image(seed=1), "1.0")
    gate = asyncio.Event()
    bench.fake.faults.add("manifests", method="GET", pause_after=5, gate=gate, times=1)
    registry = CollectorRegistry()
    async with (
        bench.running(lease=timedelta(minutes=5), measures=SyncMeasures(registry)) as frozen,
        bench.running(lease=SHORT) as other,
    ):
        job = await bench.request(frozen)
        await until(lambda: bench.asked("GET", "manifests"))
        # As if the process stood still: nobody renews what it holds.
        await _expire(bench.database)

        async def taken_up() -> bool:
            return len(await bench.jobs()) == 2

        await until(taken_up)
        lost, successor = await bench.jobs()
        assert (lost.uid, lost.state) == (job.uid, _Job.FAILED)
        assert "lost its lock" in lost.error
        assert (await ended(other, successor)).state == _Job.SUCCEEDED

        moved = bench.add(make_image(seed=2), "1.0")
        assert (await ended(other, await bench.request(other))).tags_moved == 1
        gate.set()

        async def over() -> bool:
            return registry.get_sample_value("penstock_sync_locks_lost_total") == 1

        await until(over)
        assert await bench.tags() == {"1.0": str(moved.digest)}
        assert (await bench.jobs())[0].error == lost.error


async def _expire(database: Database) -> None:
    """Ends the leases of everything that runs, and its locks."""
    async with database.write() as session:
        await session.exec(update(SyncJob).values(lease_until=0))
        await session.exec(update(SyncLease).values(expires_at=0))


async def test_a_new_upstream_ends_the_run_of_another_replica(bench: Bench) -> None:
    """The one that hangs at the old upstream hears of it with its next beat."""
    bench.add(make_image(seed=1), "hangs")
    new = bench.fake.add(make_image(seed=2), "team/new", ["new"])
    bench.fake.faults.add("manifests", reference="hangs", stall=True)
    async with bench.running(lease=SHORT) as one, bench.running(lease=SHORT) as two:
        job = await bench.request(one)
        await until(lambda: bench.asked("HEAD", "manifests"))
        async with bench.database.write() as session:
            row = (await session.exec(select(Artifact))).one()
            row.upstream = f"{bench.fake.host}/team/new"
            session.add(row)
        following = await bench.request(two, _Job.UPSTREAM_CHANGE)
        assert (await ended(two, following)).state == _Job.SUCCEEDED
        assert "another upstream" in (await ended(two, job)).error
    assert await bench.tags() == {"new": str(new.digest)}


async def test_every_replica_looks_at_the_schedule_and_one_syncs(bench: Bench) -> None:
    """Three periods of an artifact are three listings of its tags, whoever was first."""
    clock = _Clock()
    schedule = Schedule("@hourly", UTC)
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(bench.running(schedule=schedule, now=clock))
        for period in range(1, 4):
            clock.now += timedelta(hours=1)

            async def done(wanted: int = period) -> bool:
                return sum(job.state == _Job.SUCCEEDED for job in await bench.jobs()) == wanted

            await until(done)
    assert [job.trigger for job in await bench.jobs()] == [_Job.SCHEDULE] * 3
    assert bench.fake.count(kind="tags") == 3


class _Clock:
    """Time that stands still between two periods."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now
