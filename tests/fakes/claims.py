"""Sync jobs in the tables, without anybody who runs them."""

from datetime import datetime, timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.identifiers import new_uid
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync import jobs
from controlplane.sync.lease_rows import LeaseRows
from controlplane.sync.locks import Lease
from controlplane.sync.tally import Tally
from penstock.v1 import artifact_pb2
from tests.fakes.rows import NOW

LONG = timedelta(minutes=5)
# A lease that is over when it begins.
OVER = timedelta(0)


async def add_running(session: AsyncSession, artifact: Artifact, owner: str) -> None:
    """Adds a job that somebody runs, and is heard of."""
    session.add(
        SyncJob(
            uid=new_uid(),
            artifact_id=saved_id(artifact),
            state=artifact_pb2.SyncJob.RUNNING,
            trigger=artifact_pb2.SyncJob.MANUAL,
            create_time=NOW,
            owner=owner,
            lease_until=1 << 60,
        )
    )


class Claims:
    """What replicas do with the rows of jobs, step by step."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.locks = LeaseRows(database)

    async def request(
        self, artifact: Artifact, trigger: int = artifact_pb2.SyncJob.MANUAL, *, force: bool = False
    ) -> SyncJob:
        async with self.database.write() as session:
            return await jobs.join_or_create(
                session, saved_id(artifact), trigger, "ci@example.com", NOW, force_removals=force
            )

    async def waiting(self, *busy_hosts: str) -> list[jobs.Waiting]:
        async with self.database.read() as session:
            return await jobs.waiting(session, busy_hosts, 100)

    async def lease(self, item: jobs.Waiting, *, above: int | None = None) -> Lease:
        """Takes the lock, whoever had it before."""
        name = f"{item.artifact_uid} {new_uid()}"
        lease = await self.locks.acquire(name, new_uid(), LONG, above=item.fence if above is None else above)
        assert lease is not None
        return lease

    async def claim(
        self, item: jobs.Waiting, lease: Lease | None = None, lasting: timedelta = LONG
    ) -> tuple[SyncJob, Artifact] | None:
        held = lease or await self.lease(item)
        async with self.database.write() as session:
            return await jobs.claim(session, item, held, lasting, NOW)

    async def run(self, artifact: Artifact, lasting: timedelta = LONG) -> tuple[SyncJob, Artifact]:
        """Asks for a sync, and claims it."""
        job = await self.request(artifact)
        (item,) = [item for item in await self.waiting() if item.job_id == job.id]
        claimed = await self.claim(item, lasting=lasting)
        assert claimed is not None
        return claimed

    async def finish(
        self, claimed: tuple[SyncJob, Artifact], state: int, error: str = "", now: datetime = NOW
    ) -> bool:
        async with self.database.write() as session:
            return await jobs.finish(session, *claimed, state, error, Tally(tags_total=3), now)

    async def jobs(self) -> list[SyncJob]:
        async with self.database.read() as session:
            return list(await session.exec(select(SyncJob).order_by(col(SyncJob.id))))
