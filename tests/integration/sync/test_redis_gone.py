"""What goes on, and what waits, while Redis is gone."""

import asyncio
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync import dispatch, redis_client
from controlplane.sync.lease_rows import LeaseRows
from controlplane.sync.locks import Lease, LocksUnavailable
from controlplane.sync.measures import SyncMeasures
from controlplane.sync.redis_locks import RedisLocks
from controlplane.sync.runner import Syncs
from controlplane.sync.schedule import Schedule
from controlplane.sync.wakeups import Wakeups
from penstock.v1 import artifact_pb2
from tests.fakes.images import make_image
from tests.fakes.rows import add_artifact, read_artifact
from tests.fakes.synced import Bench, ended
from tests.fakes.waiting import until
from tests.servers.certificates import Authority
from tests.servers.redis_server import RedisServer

pytestmark = pytest.mark.real

_Job = artifact_pb2.SyncJob


@pytest.fixture
async def locks(redis: RedisServer) -> AsyncIterator[RedisLocks]:
    """Give locks in it."""
    opened = RedisLocks.at(redis.url)
    yield opened
    await opened.close()


async def _paused(syncs: Syncs) -> bool:
    return bool(syncs.problem)


async def _goes_on(syncs: Syncs) -> bool:
    return not syncs.problem


async def test_syncs_are_paused_and_go_on(
    bench: Bench, redis: RedisServer, locks: RedisLocks, caplog: pytest.LogCaptureFixture
) -> None:
    """Manual ones are refused with the reason, what the schedule missed is made up for, all said once."""
    bench.add(make_image(), "1.0")
    now = [datetime(2030, 1, 1, tzinfo=UTC)]
    registry = CollectorRegistry()
    options = {
        "locks": locks,
        "schedule": Schedule("@hourly", UTC),
        "measures": SyncMeasures(registry),
        "now": lambda: now[0],
    }
    async with bench.running(**options) as syncs:
        assert (await ended(syncs, await bench.request(syncs))).state == _Job.SUCCEEDED
        redis.stop()
        await until(lambda: _paused(syncs))
        assert "PENSTOCK_REDIS_URL" in syncs.problem
        assert registry.get_sample_value("penstock_sync_paused") == 1
        with pytest.raises(LocksUnavailable, match="PENSTOCK_REDIS_URL"):
            await bench.request(syncs)
        # What changes an artifact is not refused: its sync waits.
        waiting = await bench.request(syncs, _Job.UPSTREAM_CHANGE)
        now[0] += timedelta(hours=5)
        # Pulls ask the upstream as ever.
        bench.add(make_image(seed=7), "2.0")
        await bench.pull("2.0")
        assert bench.fake.count(kind="tags") == 1

        redis.start()
        await until(lambda: _goes_on(syncs))
        assert registry.get_sample_value("penstock_sync_paused") == 0
        assert (await ended(syncs, waiting)).state == _Job.SUCCEEDED

        async def planned() -> bool:
            artifact = await read_artifact(bench.database, bench.artifact)
            return artifact.next_sync_time is not None and artifact.next_sync_time > now[0]

        await until(planned)

    told = [record.message for record in caplog.records if "Syncs" in record.message]
    assert len([line for line in told if "are paused" in line]) == 1
    assert len([line for line in told if "go on" in line and "paused" not in line]) == 1


async def test_replicas_tell_each_other_what_waits(
    bench: Bench, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has room begins at once what another wrote, without looking; also after a restart of Redis."""
    monkeypatch.setattr(dispatch, "_LOOK_AGAIN", 3600.0)
    gate = asyncio.Event()
    bench.fake.faults.add("tags", gate=gate, pause_after=0)
    first, second = [Wakeups(redis_client.client(redis.url)) for _ in range(2)]
    async with bench.running(parallel=1, wakeups=first) as busy, bench.running(wakeups=second):

        async def begun(number: int) -> SyncJob:
            bench.fake.add(make_image(seed=number), f"many/{number}", ["1.0"])
            artifact = await add_artifact(bench.database, f"{bench.fake.host}/many/{number}")
            return await busy.request(saved_id(artifact), _Job.MANUAL, "")

        jobs = [await begun(number) for number in range(3)]
        await bench.fake.asked("tags", 3)
        redis.stop()
        redis.start()

        async def heard_again() -> bool:
            jobs.append(await begun(len(jobs)))
            await asyncio.sleep(0.1)
            return bench.fake.count(kind="tags") > 3

        await until(heard_again)
        gate.set()
        assert (await ended(busy, jobs[0])).state == _Job.SUCCEEDED


async def test_a_run_outlives_a_restart_of_redis(bench: Bench, redis: RedisServer, locks: RedisLocks) -> None:
    """Nobody else takes the artifact meanwhile: the table says that it is being synced."""
    bench.add(make_image(), "1.0")
    gate = asyncio.Event()
    bench.fake.faults.add("manifests", method="GET", pause_after=5, gate=gate)
    lease = timedelta(seconds=2)
    async with bench.running(locks=locks, lease=lease) as one, bench.running(locks=locks, lease=lease) as two:
        job = await bench.request(one)
        await until(lambda: bench.asked("GET", "manifests"))
        redis.stop()
        await until(lambda: _paused(one))
        redis.start()
        await until(lambda: _goes_on(two))
        assert (await bench.request(two)).uid == job.uid
        gate.set()
        assert (await ended(two, job)).state == _Job.SUCCEEDED
    assert len(await bench.jobs()) == 1
    assert bench.fake.count(kind="tags") == 1


class _Losing(LeaseRows):
    """Locks whose answer comes when the test says so, as Redis' client waits for it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.asked = asyncio.Event()
        self.answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def acquire(self, name: str, token: str, lasting: timedelta, *, above: int) -> Lease | None:
        self.asked.set()
        await asyncio.wait_for(self.answer, 60)
        return None


async def test_a_stop_in_the_moment_in_which_a_lock_answers(bench: Bench) -> None:
    """The control plane ends; it went on to look for syncs, with the stop lost on its way to the client."""
    bench.add(make_image(), "1.0")
    locks = _Losing(bench.database)
    async with bench.running(locks=locks) as syncs:
        await bench.request(syncs)
        await locks.asked.wait()
        await asyncio.sleep(0)
        locks.answer.set_result(None)
        async with asyncio.timeout(20):
            await syncs._dispatcher.stop()


async def test_what_runs_is_left_to_others_at_a_stop_while_redis_hangs(bench: Bench, tmp_path: Path) -> None:
    """By TLS its connections are not closed in time then; the run is given up all the same."""
    server = RedisServer(Authority().issue(tmp_path, "127.0.0.1")).start()
    try:
        bench.fake.faults.add("tags", gate=asyncio.Event(), pause_after=0)
        locks, wakeups = RedisLocks.at(server.url), Wakeups(redis_client.client(server.url))
        async with bench.running(locks=locks, wakeups=wakeups) as syncs:
            await bench.request(syncs)
            await bench.fake.asked("tags", 1)
            server.process.signal(signal.SIGSTOP)
        await locks.close()
    finally:
        server.process.signal(signal.SIGCONT)
        server.remove()
    assert [job.state for job in await bench.jobs()] == [_Job.FAILED, _Job.PENDING]
