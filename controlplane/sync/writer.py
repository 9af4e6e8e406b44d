"""Writes what a run learns, in batches: manifests, tags and the progress of the job."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.manifest import Manifest
from controlplane.catalog import store, tagging
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync.tally import Tally

# What may wait in memory. A transaction costs the same for one row and for hundreds.
_MANIFESTS: Final = 500
_BYTES: Final = 8 * 1024 * 1024


class Writer:
    """Collects what a run learned until `flush`, or until there is much of it.

    A tag is written with or after everything that it leads to; a tag that stands for what it stood for
    is never written. `written` is called after each transaction; `guard` at the start of each, and raises
    where the run may no longer write.
    """

    def __init__(
        self,
        database: Database,
        artifact: Artifact,
        job_id: int,
        *,
        now: Callable[[], datetime],
        written: Callable[[], None],
        guard: Callable[[AsyncSession], Awaitable[None]] | None = None,
    ) -> None:
        self.tally = Tally()
        self.now = now
        self.job_id = job_id
        self._database = database
        self._artifact = artifact
        self._written = written
        self._guard = guard
        self._turn = asyncio.Lock()
        self._manifests: list[Manifest] = []
        self._bytes = 0
        # What each stands for, and when the upstream was asked.
        self._tags: dict[str, tuple[str, datetime]] = {}
        self._progress: dict[str, Any] = {}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction of the run, in which the artifact stays as it is.

        Raises ArtifactChanged where that is no longer the one that the run is about, what `guard` raises,
        and DatabaseUnavailable.
        """
        async with self._database.write() as session:
            if self._guard is not None:
                await self._guard(session)
            await store.lock(session, self._artifact)
            yield session
        self._written()

    async def add_manifest(self, manifest: Manifest) -> None:
        """Take a manifest that was fetched; raises as `flush`."""
        self.tally.manifests_fetched += 1
        self._manifests.append(manifest)
        self._bytes += len(manifest.content)
        if len(self._manifests) >= _MANIFESTS or self._bytes >= _BYTES:
            await self.flush()

    def set_tag(self, tag: str, digest: str, asked: datetime) -> None:
        """Take a tag; all that it leads to was added before or is held. `asked` is when the upstream was."""
        self._tags[tag] = digest, asked

    async def flush(self) -> None:
        """Write what was collected, and how far the run is.

        Raises as `transaction`. What could not be written is kept for the next time: a tag must never be
        written without what it leads to.
        """
        async with self._turn:
            if not self._tags and not self._manifests and self.tally.columns() == self._progress:
                return
            tags, self._tags = self._tags, {}
            manifests, self._manifests, self._bytes = self._manifests, [], 0
            try:
                changes = await self._write(manifests, tags)
            except BaseException:
                self._manifests = manifests + self._manifests
                self._bytes = sum(len(manifest.content) for manifest in self._manifests)
                self._tags = tags | self._tags
                raise
            self.tally.place(len(tags), changes)

    async def _write(
        self, manifests: list[Manifest], tags: dict[str, tuple[str, datetime]]
    ) -> tagging.TagChanges:
        async with self.transaction() as session:
            key, now = saved_id(self._artifact), self.now()
            await store.save_manifests(session, key, manifests, now)
            digests = {tag: digest for tag, (digest, _) in tags.items()}
            asked = {tag: time for tag, (_, time) in tags.items()}
            changes = await tagging.set_tags(self._database, session, key, digests, now, asked=asked)
            # Others go on counting: only the tags of this transaction are added to what it reports.
            progress = replace(self.tally)
            progress.place(len(tags), changes)
            values = progress.columns()
            await session.exec(update(SyncJob).where(col(SyncJob.id) == self.job_id).values(**values))
        self._progress = values
        return changes
