"""Three control planes that sync many artifacts of one upstream, and what they leave behind."""

import asyncio
import math
import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from sqlmodel import col, select

from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.sync_tables import SyncJob
from controlplane.sync.schedule import Schedule
from penstock.v1 import artifact_pb2
from tests.fakes.registry import FakeRegistry
from tests.fakes.waiting import until
from tests.servers import http
from tests.servers.penstock import Penstock
from tests.servers.redis_server import RedisServer

_Job = artifact_pb2.SyncJob
# Seconds, where it is measured what the machine manages.
_SHORTEST_PERIOD, _LONGEST_PERIOD = 4, 60
ARTIFACTS = 200
LEASE = "4s"
PATIENCE = 200
DUE = re.compile(r"Sync of artifact (\S+), \S+, was due at (\S+ \S+); the next is at (\S+ \S+)\.")


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
        period = min(_LONGEST_PERIOD, max(_SHORTEST_PERIOD, seconds))
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

    async def all_synced_again(self, period: int) -> None:
        """Waits until every artifact was synced, from now on."""
        now = datetime.now(UTC)
        late = ARTIFACTS
        # Each look takes its time as well.
        for _ in range(PATIENCE // 2 + 4 * period):
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
        return [replica for replica in alive(self) if await metric(replica, "penstock_sync_locks_held") > 0]

    def due(self) -> list[tuple[str, str, str]]:
        """What the logs say: the artifact, when it was due, when it is due next."""
        logs = [replica.planes["controlplane"].log.read_text() for replica in self.replicas]
        return [match.groups() for log in logs for match in DUE.finditer(log)]


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


def alive(cluster: Cluster) -> list[Penstock]:
    """Gives the replicas that run."""
    return [replica for replica in cluster.replicas if replica.planes["controlplane"].running]
