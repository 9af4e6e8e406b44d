"""Single runs of sync over one artifact, without what schedules and locks them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import col, select, update

from clients.oci.errors import UpstreamError
from clients.oci.transport import Transport
from controlplane.catalog.policy import SyncPolicy
from controlplane.model.artifact_tables import Artifact, Manifest, Tag, TagRevision
from controlplane.model.database import Database
from controlplane.model.identifiers import new_uid
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync.ended import RunEnded
from controlplane.sync.hosts import Hosts
from controlplane.sync.run import Run
from controlplane.sync.writer import Writer
from controlplane.upstream.access import UpstreamAccess
from penstock.v1 import artifact_pb2
from tests.fakes.images import Image
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import read_artifact, read_tags

_START = datetime(2030, 1, 1, tzinfo=UTC)


class Runs:
    """The artifact `team/app` of a fake upstream; each run is an hour after the one before, by its clock."""

    def __init__(self, database: Database, transport: Transport, fake: FakeRegistry, artifact: Artifact):
        self.database = database
        self.transport = transport
        self.access = UpstreamAccess(transport, allow_private=True)
        self.fake = fake
        self.artifact = artifact
        self.hosts = Hosts(transport.rates)
        self.now = _START

    def add(self, image: Image, *tags: str) -> Image:
        """Pushes to the upstream repository."""
        return self.fake.add(image, "team/app", tags)

    def remove(self, *tags: str) -> None:
        for tag in tags:
            self.fake.remove_tag("team/app", tag)

    async def follow(self, **policy: Any) -> None:
        """Gives the artifact a sync policy."""
        async with self.database.write() as session:
            kept = SyncPolicy(**policy).kept()
            await session.exec(
                update(Artifact).where(col(Artifact.id) == self.artifact.id).values(sync_policy=kept)
            )

    async def sync(
        self,
        *,
        trigger: int = artifact_pb2.SyncJob.MANUAL,
        force: bool = False,
        seconds: float = 60.0,
        later: timedelta = timedelta(hours=1),
        written: Callable[[], None] = lambda: None,
    ) -> SyncJob:
        """Runs once, and gives the job as it ended."""
        self.fake.requests.clear()
        self.now += later
        row = await read_artifact(self.database, self.artifact)
        job = SyncJob(
            uid=new_uid(),
            artifact_id=saved_id(row),
            state=artifact_pb2.SyncJob.RUNNING,
            trigger=trigger,
            create_time=self.now,
            force_removals=force,
        )
        async with self.database.write() as session:
            session.add(job)
            await session.flush()
        writer = Writer(self.database, row, saved_id(job), now=lambda: self.now, written=written)
        problem = ""
        registry = self.access.registry(row)
        try:
            await Run(self.database, registry, row, writer, hosts=self.hosts, seconds=seconds).execute()
        except (UpstreamError, RunEnded) as error:
            problem = str(error)
        await writer.flush()
        state, reason = writer.tally.verdict(problem)
        return SyncJob(**{**job.model_dump(), **writer.tally.columns(), "state": state, "error": reason})

    async def tags(self) -> dict[str, str]:
        return await read_tags(self.database, self.artifact)

    async def manifests(self) -> set[str]:
        """Digests of all manifests that are held."""
        async with self.database.read() as session:
            return set(await session.exec(select(Manifest.digest)))

    async def tag(self, name: str) -> Tag:
        async with self.database.read() as session:
            return (await session.exec(select(Tag).where(Tag.name == name))).one()

    async def history(self, name: str) -> list[TagRevision]:
        """What a tag stood for, oldest first."""
        async with self.database.read() as session:
            rows = await session.exec(
                select(TagRevision).where(TagRevision.name == name).order_by(col(TagRevision.id))
            )
            return list(rows)

    async def row(self) -> Artifact:
        return await read_artifact(self.database, self.artifact)
