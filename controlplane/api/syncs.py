"""The part of ArtifactService that starts and shows syncs."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.api import audit, find
from controlplane.api.caller import caller
from controlplane.api.errors import not_found
from controlplane.api.label_selector import LabelSelector
from controlplane.api.paging import number, page
from controlplane.api.timestamps import timestamp
from controlplane.api.validation import Violations
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.naming import ArtifactName, OrganizationName, SyncJobName, parse_artifact
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync.runner import Syncs
from penstock.v1 import artifact_pb2 as pb


class SyncJobs:
    """Answers from the table of sync jobs, and asks `syncs` for new ones."""

    def __init__(self, database: Database, syncs: Syncs) -> None:
        self._database = database
        self._syncs = syncs

    async def SyncArtifact(self, request: pb.SyncArtifactRequest, _context: object) -> pb.SyncJob:
        """Answer SyncArtifact."""
        with Violations() as violations:
            name = violations.check("name", parse_artifact, request.name)
        async with self._database.read() as session:
            artifact = await find.artifact(session, name)
        job = await self._syncs.request(
            saved_id(artifact.row),
            pb.SyncJob.MANUAL,
            caller().email,
            force_removals=request.force_removals,
        )
        return _message(artifact.name, job)

    async def SyncArtifacts(
        self, request: pb.SyncArtifactsRequest, _context: object
    ) -> pb.SyncArtifactsResponse:
        """Answer SyncArtifacts."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            selector = violations.check("label_selector", LabelSelector.parse, request.label_selector)
        async with self._database.read() as session:
            organization = await find.organization(session, parent)
            rows = await session.exec(
                select(Artifact.id, Artifact.path, Artifact.labels)
                .where(Artifact.organization_id == organization.id)
                .order_by(col(Artifact.path))
            )
            paths = {key: path for key, path, labels in rows if key and selector.matches(labels)}
        jobs = await self._syncs.request_all(
            paths,
            pb.SyncJob.MANUAL,
            caller().email,
            force_removals=request.force_removals,
            told=lambda count, all_: audit.tells(sync_jobs=count, finished=all_),
        )
        by_artifact = {job.artifact_id: job for job in jobs}
        return pb.SyncArtifactsResponse(
            sync_jobs=[
                _message(ArtifactName(organization.slug, path), by_artifact[key])
                for key, path in paths.items()
                if key in by_artifact
            ]
        )

    async def GetSyncJob(self, request: pb.GetSyncJobRequest, _context: object) -> pb.SyncJob:
        """Answer GetSyncJob."""
        with Violations() as violations:
            name = violations.check("name", SyncJobName.parse, request.name)
        async with self._database.read() as session:
            return _message(name.artifact, await _find(session, name))

    async def ListSyncJobs(
        self, request: pb.ListSyncJobsRequest, _context: object
    ) -> pb.ListSyncJobsResponse:
        """Answer ListSyncJobs."""
        with Violations() as violations:
            parent = violations.check("parent", ArtifactName.parse, request.parent)
            wanted = page(request, f"{request.parent}/syncJobs", violations, number)
        async with self._database.read() as session:
            artifact = await find.artifact(session, parent)
            statement = (
                select(SyncJob)
                .where(SyncJob.artifact_id == artifact.row.id)
                .order_by(col(SyncJob.id).desc())
                .limit(wanted.limit)
            )
            if wanted.after is not None:
                statement = statement.where(col(SyncJob.id) < wanted.after)
            rows = (await session.exec(statement)).all()
        shown, token = wanted.cut(rows, lambda row: str(saved_id(row)))
        return pb.ListSyncJobsResponse(
            sync_jobs=[_message(parent, row) for row in shown], next_page_token=token
        )

    async def WatchSyncJob(
        self, request: pb.WatchSyncJobRequest, _context: object
    ) -> AsyncIterator[pb.SyncJob]:
        """Answer WatchSyncJob."""
        with Violations() as violations:
            name = violations.check("name", SyncJobName.parse, request.name)
        async with self._database.read() as session:
            await _find(session, name)
        async with aclosing(self._syncs.watch(name.uid)) as jobs:
            async for job in jobs:
                yield _message(name.artifact, job)


async def _find(session: AsyncSession, name: SyncJobName) -> SyncJob:
    artifact = await find.artifact(session, name.artifact)
    found = await session.exec(
        select(SyncJob).where(SyncJob.uid == name.uid, SyncJob.artifact_id == artifact.row.id)
    )
    row = found.first()
    if row is None:
        raise not_found("SYNC_JOB_UNKNOWN", f"There is no {name}.", name=str(name))
    return row


def _message(artifact: ArtifactName, row: SyncJob) -> pb.SyncJob:
    return pb.SyncJob(
        name=str(SyncJobName(artifact, row.uid)),
        uid=row.uid,
        state=pb.SyncJob.State.ValueType(row.state),
        trigger=pb.SyncJob.Trigger.ValueType(row.trigger),
        requested_by=row.requested_by,
        create_time=timestamp(row.create_time),
        start_time=timestamp(row.start_time),
        end_time=timestamp(row.end_time),
        error=row.error,
        tags_total=row.tags_total,
        tags_done=row.tags_done,
        tags_new=row.tags_new,
        tags_moved=row.tags_moved,
        tags_unchanged=row.tags_unchanged,
        tags_failed=row.tags_failed,
        tags_removed=row.tags_removed,
        tags_skipped=row.tags_skipped,
        tags_missing=row.tags_missing,
        requests=pb.SyncJob.Requests(**row.requests),
        manifests_fetched=row.manifests_fetched,
        tag_errors=[pb.SyncJob.TagError(tag=item["tag"], reason=item["reason"]) for item in row.tag_errors],
    )
