"""An artifact that is synced from a fake upstream, as tests see it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

from sqlmodel import col, select

from controlplane.catalog.resolve import Resolver
from controlplane.model.artifact_tables import Artifact, Manifest
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync.limits import Limits
from controlplane.sync.runner import Syncs
from controlplane.upstream.access import UpstreamAccess
from penstock.v1 import artifact_pb2
from tests.fakes.images import Image
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import read_artifact, read_tags


class Bench:
    """An artifact `team/app` of a fake upstream, and what syncs it."""

    def __init__(self, database: Database, access: UpstreamAccess, fake: FakeRegistry, artifact: Artifact):
        self.database = database
        self.fake = fake
        self.artifact = artifact
        self._access = access

    @asynccontextmanager
    async def running(self, timeout: float = 60.0, **options: Any) -> AsyncIterator[Syncs]:
        """A control plane's sync, from its start to its stop; `options` are those of Limits and Syncs."""
        limits = {name: options.pop(name) for name in Limits.__slots__ if name in options}
        database = options.pop("database", self.database)
        limits["timeout"] = timedelta(seconds=timeout)
        syncs = Syncs(database, self._access, limits=Limits(**limits), **options)
        await syncs.start()
        try:
            yield syncs
        finally:
            await syncs.stop()

    def add(self, image: Image, *tags: str) -> Image:
        """Pushes to the upstream repository."""
        return self.fake.add(image, "team/app", tags)

    async def request(self, syncs: Syncs, trigger: int = artifact_pb2.SyncJob.MANUAL) -> SyncJob:
        return await syncs.request(saved_id(self.artifact), trigger, "ci@example.com")

    async def sync(self, timeout: float = 60.0) -> SyncJob:
        """Syncs once, and gives the job as it ended."""
        async with self.running(timeout) as syncs:
            return await ended(syncs, await self.request(syncs))

    async def pull(self, tag: str) -> None:
        """Has a tag resolved, as a pull does."""
        await Resolver(self.database, self._access).manifest(self.artifact.uid, tag)

    async def tags(self) -> dict[str, str]:
        return await read_tags(self.database, self.artifact)

    async def holds(self, tag: str) -> bool:
        return tag in await self.tags()

    async def asked(self, method: str, kind: str) -> bool:
        """Whether the upstream got such a request."""
        return self.fake.count(method, kind) > 0

    async def manifests(self) -> set[str]:
        """Digests of all manifests that are held."""
        async with self.database.read() as session:
            return set(await session.exec(select(Manifest.digest)))

    async def jobs(self) -> list[SyncJob]:
        async with self.database.read() as session:
            return list(await session.exec(select(SyncJob).order_by(col(SyncJob.id))))

    async def revisions(self) -> tuple[int, int]:
        """The artifact's content revision, and that of the configuration."""
        async with self.database.read() as session:
            revision = await self.database.revision(session)
        return (await read_artifact(self.database, self.artifact)).content_revision, revision


async def ended(syncs: Syncs, job: SyncJob) -> SyncJob:
    """Follows a job to its end."""
    async with asyncio.timeout(60), aclosing(syncs.watch(job.uid)) as states:
        return [state async for state in states][-1]
