"""Writes what a run learns, in batches: manifests, tags and the progress of the job."""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Final

from sqlmodel import col, update

from clients.oci.manifest import Manifest
from controlplane.catalog import store
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.tables import Artifact, SyncJob
from controlplane.sync.tally import Tally

# What may wait in memory. A transaction costs the same for one row and for hundreds.
_MANIFESTS: Final = 500
_BYTES: Final = 8 * 1024 * 1024


class Writer:
    """Collects what a run learned until `flush`, or until there is much of it.

    A tag is written with or after everything that it leads to; a tag that stands for what it stood for
    is never written. `written` is called after each transaction.
    """

    def __init__(
        self,
        database: Database,
        artifact: Artifact,
        job_id: int,
        *,
        now: Callable[[], datetime],
        written: Callable[[], None],
    ) -> None:
        self.tally = Tally()
        self._database = database
        self._artifact = artifact
        self._job_id = job_id
        self._now = now
        self._written = written
        self._turn = asyncio.Lock()
        self._manifests: list[Manifest] = []
        self._bytes = 0
        self._tags: dict[str, str] = {}
        self._progress: dict[str, Any] = {}

    async def add_manifest(self, manifest: Manifest) -> None:
        """Take a manifest that was fetched; raises as `flush`."""
        self.tally.manifests_fetched += 1
        self._manifests.append(manifest)
        self._bytes += len(manifest.content)
        if len(self._manifests) >= _MANIFESTS or self._bytes >= _BYTES:
            await self.flush()

    def set_tag(self, tag: str, digest: str) -> None:
        """Take a tag; all that it leads to was added before or is held."""
        self._tags[tag] = digest

    async def flush(self) -> None:
        """Write what was collected, and how far the run is.

        Raises ArtifactChanged where the artifact is no longer the one that the run is about, and
        DatabaseUnavailable. What could not be written is kept for the next time: a tag must never be
        written without what it leads to.
        """
        async with self._turn:
            if not self._tags and not self._manifests and asdict(self.tally) == self._progress:
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
        self._written()

    async def _write(self, manifests: list[Manifest], tags: dict[str, str]) -> store.TagChanges:
        async with self._database.write() as session:
            await store.lock(session, self._artifact)
            key, now = saved_id(self._artifact), self._now()
            await store.save_manifests(session, key, manifests, now)
            changes = await store.set_tags(self._database, session, key, tags, now)
            # Others go on counting: only the tags of this transaction are added to what it reports.
            progress = replace(self.tally)
            progress.place(len(tags), changes)
            values = asdict(progress)
            await session.exec(update(SyncJob).where(col(SyncJob.id) == self._job_id).values(**values))
        self._progress = values
        return changes
