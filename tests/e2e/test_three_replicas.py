"""Three control planes on PostgreSQL and Redis sync two hundred artifacts, through what may happen."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlmodel import col

from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.sync_tables import SyncJob
from penstock.v1 import artifact_pb2
from tests.e2e.replicas import ARTIFACTS, DUE, LEASE, PATIENCE, Cluster, Watching, alive, metric
from tests.fakes.images import make_image
from tests.fakes.rows import add_artifact, add_organization, read_tags
from tests.fakes.waiting import until
from tests.servers import http
from tests.servers.penstock import Penstock
from tests.servers.postgres import Postgres
from tests.servers.redis_server import RedisServer

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

_Job = artifact_pb2.SyncJob
_OPEN = (_Job.PENDING, _Job.RUNNING)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """Run an empty server."""
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
async def cluster(postgres: Postgres, redis: RedisServer, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Prepare three replicas, and two hundred artifacts of one upstream."""
    settings = {
        "DATABASE_URL": postgres.url,
        "REDIS_URL": redis.url,
        "SYNC_LEASE": LEASE,
        "SYNC_PARALLEL": "16",
        "SYNC_PARALLEL_PER_HOST": "16",
        "LOG_LEVEL": "debug",
    }
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(Watching())
        database = await Database.open(postgres.url)
        stack.push_async_callback(database.close)
        owner = await add_organization(database, "acme")
        image = make_image()
        for number in range(ARTIFACTS):
            fake.add(image, f"many/{number}", ["1.0"])
            await add_artifact(database, f"{fake.host}/many/{number}", f"app{number}", organization=owner)
        replicas = []
        for number in range(3):
            replica = Penstock(tmp_path / f"replica{number}", together=False, settings=settings)
            stack.callback(replica.stop)
            replicas.append(replica)
        yield Cluster(database, redis, fake, replicas)


async def test_every_artifact_is_synced_once_in_each_period(cluster: Cluster) -> None:
    """By the table of jobs, by the logs of all replicas, and by the requests that the upstream got."""
    await cluster.start()
    period = await cluster.pace()
    await cluster.follow(period)
    await cluster.all_had(3, period)

    assert set(cluster.fake.at_once.values()) == {1}
    due = cluster.due()
    assert set(Counter((uid, time) for uid, time, _ in due).values()) == {1}
    # What one line calls the next time, the next line calls due: no period is left out.
    lines: dict[str, list[tuple[str, str]]] = {}
    for uid, moment, following in sorted(due, key=lambda line: line[1]):
        lines.setdefault(uid, []).append((moment, following))
    for own in lines.values():
        assert [time for time, _ in own[1:]] == [following for _, following in own[:-1]]
    # Nobody did it alone.
    parts = [
        sum(1 for _ in DUE.finditer(replica.planes["controlplane"].log.read_text()))
        for replica in cluster.replicas
    ]
    assert all(parts), parts


async def test_nothing_is_lost_or_overwritten_when_replicas_and_redis_fail(cluster: Cluster) -> None:
    """One replica is killed, one stands still beyond its lease and goes on, Redis loses its memory."""
    await cluster.start()
    # Two replicas will be left, which have to do it as well.
    period = await cluster.pace()
    cluster.fake.add(make_image(seed=1), "special", ["moving"])
    special = await add_artifact(cluster.database, f"{cluster.fake.host}/special", "special")
    async with cluster.database.write() as session:
        special.sync_paused = True
        session.add(special)
    # Long enough to be killed in.
    cluster.fake.faults.add("tags", delay=0.3)
    await cluster.follow(period)
    await cluster.all_synced_again(period)

    await _kill_one_that_syncs(cluster)
    await cluster.all_synced_again(period)

    cluster.redis.stop()
    for replica in alive(cluster):
        await until(lambda one=replica: _paused(one))
    cluster.redis.start()
    await cluster.all_synced_again(period)

    await _pause_one_that_is_late(cluster, special)
    await cluster.all_synced_again(period)

    assert set(cluster.fake.at_once.values()) == {1}
    # Besides those that ended well there are only those of the replicas that failed, each taken up.
    others = [job for job, _ in await cluster.jobs(col(SyncJob.state).not_in((*_OPEN, _Job.SUCCEEDED)))]
    assert others
    assert all("lost its lock" in job.error for job in others)
    # Whatever was due has been synced since, within its period or soon after.
    ended = await cluster.ended_well()
    late = datetime.now(UTC) - timedelta(seconds=2 * period)
    for uid, due, following in cluster.due():
        time, end = (datetime.fromisoformat(text) for text in (due, following))
        if time < late:
            assert any(time <= one <= end + timedelta(seconds=period) for one in ended[uid]), (uid, due)


async def _paused(replica: Penstock) -> bool:
    return await metric(replica, "penstock_sync_paused") == 1


async def _kill_one_that_syncs(cluster: Cluster) -> None:
    async def syncs() -> bool:
        return bool(await cluster.holding())

    await until(syncs, PATIENCE)
    (victim, *_) = await cluster.holding()
    victim.planes["controlplane"].kill()

    async def marked() -> bool:
        return any("lost its lock" in job.error for job, _ in await cluster.jobs())

    await until(marked, 60)


async def _pause_one_that_is_late(cluster: Cluster, special: Artifact) -> None:
    """Stops the replica that fetches what a tag has become, moves the tag again, and lets it go on."""
    fake = cluster.fake

    async def sync() -> None:
        token = cluster.replicas[0].admin_token
        answer = await asyncio.to_thread(
            http.request,
            alive(cluster)[0].http,
            "POST",
            f"/api/v1/artifacts/{special.uid}/sync",
            headers={"Authorization": f"AccessToken {token}"},
        )
        assert answer.status == 200, answer.body

    async def ended(times: int) -> bool:
        jobs = await cluster.jobs(Artifact.id == special.id, SyncJob.state == _Job.SUCCEEDED)
        return len(jobs) == times

    await sync()
    await until(lambda: ended(1))
    second = fake.add(make_image(seed=2), "special", ["moving"])
    gate = asyncio.Event()
    slow = fake.faults.add(
        "manifests", method="GET", reference=str(second.digest), pause_after=5, gate=gate, times=1
    )
    await sync()

    async def fetching() -> bool:
        return slow.times == 0

    await until(fetching)
    holding: list[Penstock] = []

    async def alone() -> bool:
        holding[:] = await cluster.holding()
        return len(holding) == 1

    # The others are between two periods.
    await until(alone, PATIENCE)
    (late,) = holding
    late.planes["controlplane"].signal(signal.SIGSTOP)
    gate.set()
    third = fake.add(make_image(seed=3), "special", ["moving"])
    await until(lambda: ended(2), PATIENCE)
    assert await read_tags(cluster.database, special) == {"moving": str(third.digest)}

    late.planes["controlplane"].signal(signal.SIGCONT)

    async def noticed() -> bool:
        return await metric(late, "penstock_sync_locks_lost_total") >= 1

    await until(noticed)
    assert await read_tags(cluster.database, special) == {"moving": str(third.digest)}
    states = [job.state for job, _ in await cluster.jobs(Artifact.id == special.id)]
    assert states == [_Job.SUCCEEDED, _Job.FAILED, _Job.SUCCEEDED]
