"""Three control planes on PostgreSQL and Redis sync two hundred artifacts, through what may happen."""

import asyncio
import math
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from sqlmodel import col, select

from controlplane.model.database import Database
from controlplane.model.tables import Artifact, SyncJob
from controlplane.sync.schedule import Schedule
from penstock.v1 import artifact_pb2
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import add_artifact, add_organization, read_tags
from tests.fakes.waiting import until
from tests.servers import http
from tests.servers.penstock import Penstock
from tests.servers.postgres import Postgres
from tests.servers.redis_server import RedisServer

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(600)]

_Job = artifact_pb2.SyncJob
_OPEN = (_Job.PENDING, _Job.RUNNING)
ARTIFACTS = 200
# Seconds. Every replica looks once a second; half of a period is quiet, for the spread is the other half.
PERIOD = 20
# Where it is measured what the machine manages.
SHORTEST_PERIOD, LONGEST_PERIOD = 4, 60
LEASE = "4s"
PATIENCE = 200
_DUE = re.compile(r"Sync of artifact (\S+), \S+, was due at (\S+ \S+); the next is at (\S+ \S+)\.")


class Watching(FakeRegistry):
    """An upstream that knows how often the tags of one repository were listed at the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.at_once: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if not request.path.endswith("/tags/list"):
            return await super()._handle(request)
        self._under_way[request.path] += 1
        self.at_once[request.path] = max(self.at_once[request.path], self._under_way[request.path])
        try:
            return await super()._handle(request)
        finally:
            self._under_way[request.path] -= 1

    def listed(self) -> Counter[str]:
        """How often the tags of each repository were listed."""
        return Counter(seen.repository for seen in self.requests if seen.kind == "tags")


class Cluster:
    """The replicas, and what they leave in the database and at the upstream."""

    def __init__(self, database: Database, redis: RedisServer, fake: Watching, replicas: list[Penstock]):
        self.database = database
        self.redis = redis
        self.fake = fake
        self.replicas = replicas

    async def start(self) -> None:
        for replica in self.replicas:
            replica.planes["controlplane"].start()
            await asyncio.to_thread(
                replica.planes["controlplane"].wait_ready, lambda one=replica: _ready(one)
            )

    async def pace(self) -> int:
        """Has all artifacts synced at once, and gives a period in which this machine can do that twice."""
        await asyncio.to_thread(self.replicas[0].cli, "artifacts", "sync", "acme", "--all")
        jobs: list[SyncJob] = []

        async def ended() -> bool:
            jobs[:] = [job for job, _ in await self.jobs()]
            return all(job.end_time is not None for job in jobs)

        await until(ended, PATIENCE)
        # Where a run was lost, another one took it up.
        assert len({job.artifact_id for job in jobs}) == ARTIFACTS
        spans = [(job.start_time, job.end_time) for job in jobs if job.start_time and job.end_time]
        began, last = min(start for start, _ in spans), max(end for _, end in spans)
        seconds = math.ceil(2 * (last - began).total_seconds())
        period = min(LONGEST_PERIOD, max(SHORTEST_PERIOD, seconds))
        self.fake.requests.clear()
        print(f"{ARTIFACTS} artifacts took {last - began}; they are to be synced every {period} seconds")
        return period

    async def follow(self, period: int) -> None:
        """Gives every artifact a schedule of so many seconds, which begins with a whole period."""
        schedule = Schedule(f"@every {period}s", UTC)
        start = datetime.fromtimestamp((datetime.now(UTC).timestamp() // period + 2) * period, UTC)
        async with self.database.write() as session:
            for artifact in await session.exec(select(Artifact)):
                artifact.sync_schedule = schedule.expression
                schedule.plan(artifact, start - timedelta(seconds=1))
                session.add(artifact)

    async def jobs(self, *conditions: object) -> list[tuple[SyncJob, Artifact]]:
        statement = select(SyncJob, Artifact).join(Artifact).where(*conditions).order_by(col(SyncJob.id))
        async with self.database.read() as session:
            return list(await session.exec(statement))

    async def rounds(self) -> dict[str, int]:
        """How many periods of each repository were synced to the end; {} while any sync is under way."""
        jobs = await self.jobs(SyncJob.trigger == _Job.SCHEDULE)
        if any(job.end_time is None for job, _ in jobs):
            return {}
        return Counter(_repository(artifact) for job, artifact in jobs if job.state == _Job.SUCCEEDED)

    async def ended_well(self) -> dict[str, list[datetime]]:
        """When the scheduled syncs of each artifact ended that succeeded, by its uid."""
        times: dict[str, list[datetime]] = {}
        for job, artifact in await self.jobs(SyncJob.state == _Job.SUCCEEDED):
            if job.trigger == _Job.SCHEDULE and job.end_time is not None:
                times.setdefault(artifact.uid, []).append(job.end_time)
        return times

    async def all_synced_again(self) -> None:
        """Waits until every artifact was synced, from now on."""
        now = datetime.now(UTC)
        late = ARTIFACTS
        for _ in range(PATIENCE):
            await asyncio.sleep(0.5)
            late = ARTIFACTS - sum(max(times) > now for times in (await self.ended_well()).values())
            if not late:
                return
        pytest.fail(f"{late} artifacts were not synced again")

    async def all_had(self, rounds: int, period: int) -> None:
        """Waits until every artifact was synced in so many periods or more, all as often.

        Also by what the upstream was asked and by what the logs say, between two periods.
        """
        told = ""
        # More than the periods that it takes, each of which has a quiet end to be looked at.
        for _ in range(PATIENCE + 2 * (rounds + 4) * period):
            await asyncio.sleep(0.5)
            counts, listed = await self.rounds(), self.fake.listed()
            due = Counter(uid for uid, _, _ in self.due())
            seen = {name: set(counter.values()) for name, counter in (("jobs", counts), ("due", due))}
            told = f"jobs {Counter(counts.values())}, logs {Counter(due.values())}"
            if (
                len(counts) == len(due) == ARTIFACTS
                and seen["jobs"] == seen["due"]
                and len(seen["jobs"]) == 1
            ):
                (times,) = seen["jobs"]
                if times >= rounds and listed == counts:
                    return
        pytest.fail(f"artifacts by how often they were synced: {told}")

    async def holding(self) -> list[Penstock]:
        """The replicas that run a sync now."""
        return [replica for replica in _alive(self) if await metric(replica, "penstock_sync_locks_held") > 0]

    def due(self) -> list[tuple[str, str, str]]:
        """What the logs say: the artifact, when it was due, when it is due next."""
        logs = [replica.planes["controlplane"].log.read_text() for replica in self.replicas]
        return [match.groups() for log in logs for match in _DUE.finditer(log)]


async def metric(replica: Penstock, name: str) -> float:
    """A value that a replica shows."""
    answer = await asyncio.to_thread(http.request, replica.http, "GET", "/metrics")
    found = re.search(rf"^{name} (\S+)$", answer.body.decode(), re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def _ready(replica: Penstock) -> bool:
    return http.answers(replica.http, "/readyz")


def _repository(artifact: Artifact) -> str:
    return artifact.upstream.partition("/")[2]


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
        sum(1 for _ in _DUE.finditer(replica.planes["controlplane"].log.read_text()))
        for replica in cluster.replicas
    ]
    assert all(parts), parts


async def test_nothing_is_lost_or_overwritten_when_replicas_and_redis_fail(cluster: Cluster) -> None:
    """One replica is killed, one stands still beyond its lease and goes on, Redis loses its memory."""
    cluster.fake.add(make_image(seed=1), "special", ["moving"])
    special = await add_artifact(cluster.database, f"{cluster.fake.host}/special", "special")
    async with cluster.database.write() as session:
        special.sync_paused = True
        session.add(special)
    # Long enough to be killed in.
    cluster.fake.faults.add("tags", delay=0.3)
    await cluster.start()
    await cluster.follow(PERIOD)
    await cluster.all_synced_again()

    await _kill_one_that_syncs(cluster)
    await cluster.all_synced_again()

    cluster.redis.stop()
    for replica in _alive(cluster):
        await until(lambda one=replica: _paused(one))
    cluster.redis.start()
    await cluster.all_synced_again()

    await _pause_one_that_is_late(cluster, special)
    await cluster.all_synced_again()

    assert set(cluster.fake.at_once.values()) == {1}
    # Besides those that ended well there are only those of the replicas that failed, each taken up.
    others = [job for job, _ in await cluster.jobs(col(SyncJob.state).not_in((*_OPEN, _Job.SUCCEEDED)))]
    assert others
    assert all("lost its lock" in job.error for job in others)
    # Whatever was due has been synced since, within its period or soon after.
    ended = await cluster.ended_well()
    late = datetime.now(UTC) - timedelta(seconds=2 * PERIOD)
    for uid, due, following in cluster.due():
        time, end = (datetime.fromisoformat(text) for text in (due, following))
        if time < late:
            assert any(time <= one <= end + timedelta(seconds=PERIOD) for one in ended[uid]), (uid, due)


def _alive(cluster: Cluster) -> list[Penstock]:
    return [replica for replica in cluster.replicas if replica.planes["controlplane"].running]


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
            _alive(cluster)[0].http,
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
