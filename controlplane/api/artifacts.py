"""ArtifactService: artifacts; their tags and syncs are in `controlplane.api.tags` and `.syncs`."""

from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from functools import partial

from google.protobuf.empty_pb2 import Empty
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select, update

from controlplane.api import cache_policies, find, sync_policies
from controlplane.api.artifact_messages import artifact_etag, artifact_message, artifact_messages
from controlplane.api.artifact_source import FIELDS, Source, Sources, access_changed, keep_credential
from controlplane.api.caller import caller
from controlplane.api.emptied import emptied
from controlplane.api.errors import already_exists
from controlplane.api.etags import check_etag, check_unchanged
from controlplane.api.find import FoundArtifact
from controlplane.api.masks import masked_fields
from controlplane.api.paging import page, text
from controlplane.api.preview import preview
from controlplane.api.syncs import SyncJobs
from controlplane.api.tags import Tags
from controlplane.api.validation import Violations
from controlplane.catalog import clearing, tagging
from controlplane.catalog.held import BATCH
from controlplane.model.access_tables import Entitlement, EntitlementGrant
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.identifiers import check_artifact_id, new_uid
from controlplane.model.locks import Hold, lock
from controlplane.model.naming import ArtifactName, OrganizationName, parse_artifact
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.sync.runner import Syncs
from penstock.v1 import artifact_pb2 as pb
from penstock.v1.artifact_pb2_grpc import ArtifactServiceServicer


class ArtifactServicer(Tags, SyncJobs, ArtifactServiceServicer):
    """Answers from the artifact table; `now` is the time of day in UTC."""

    def __init__(
        self, database: Database, syncs: Syncs, sources: Sources, now: Callable[[], datetime]
    ) -> None:
        Tags.__init__(self, database)
        SyncJobs.__init__(self, database, syncs)
        self._database = database
        self._syncs = syncs
        self._sources = sources
        self._now = now

    async def GetArtifact(self, request: pb.GetArtifactRequest, _context: object) -> pb.Artifact:
        """Answer GetArtifact."""
        with Violations() as violations:
            name = violations.check("name", parse_artifact, request.name)
        async with self._database.read() as session:
            (message,) = await artifact_messages(session, [await find.artifact(session, name)])
        return message

    async def ListArtifacts(
        self, request: pb.ListArtifactsRequest, _context: object
    ) -> pb.ListArtifactsResponse:
        """Answer ListArtifacts."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            wanted = page(request, f"{request.parent}/artifacts", violations, text)
        async with self._database.read() as session:
            organization = await find.organization(session, parent)
            found = await session.exec(
                select(Artifact)
                .where(Artifact.organization_id == organization.id, col(Artifact.path) > (wanted.after or ""))
                .order_by(col(Artifact.path))
                .limit(wanted.limit)
            )
            shown, token = wanted.cut(found.all(), lambda row: row.path)
            messages = await artifact_messages(session, [FoundArtifact(organization, row) for row in shown])
        return pb.ListArtifactsResponse(artifacts=messages, next_page_token=token)

    async def CreateArtifact(self, request: pb.CreateArtifactRequest, _context: object) -> pb.Artifact:
        """Answer CreateArtifact."""
        given = request.artifact
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            violations.check("artifact_id", check_artifact_id, request.artifact_id)
            self._sources.upstream(given, violations)
            violations.check_text("artifact.display_name", given.display_name)
            sync_policies.check(given, sync_policies.FIELDS, violations)
            cache_policies.check(given, [cache_policies.POLICY], violations)
        with Violations() as violations:
            whole = partial(ArtifactName.of, parent.organization)
            name = violations.check("artifact_id", whole, request.artifact_id)
        await self._refuse_existing(name)
        source = await self._sources.wanted(name.organization, given, FIELDS, None)
        if not request.skip_upstream_check:
            await self._sources.examine(source)
        now = self._now()
        try:
            async with self._database.write(keep=not request.validate_only) as session:
                organization = await find.organization(session, parent, hold=Hold.CHANGES)
                row = Artifact(
                    uid=new_uid(),
                    organization_id=saved_id(organization),
                    path=name.path,
                    display_name=given.display_name,
                    upstream=str(source.upstream),
                    create_time=now,
                    update_time=now,
                )
                source.write(row)
                sync_policies.change(row, given, sync_policies.FIELDS)
                cache_policies.change(row, given, [cache_policies.POLICY])
                self._syncs.schedule.plan(row, now)
                await keep_credential(session, source)
                session.add(row)
                await self._database.raise_revision(session, Section.ARTIFACTS)
                answer = artifact_message(FoundArtifact(organization, row))
                answer.credential = given.credential
        except IntegrityError as error:
            raise _exists(name) from error
        if request.validate_only:
            return preview(answer)
        return await self._synced(FoundArtifact(organization, row), pb.SyncJob.CREATION)

    async def UpdateArtifact(self, request: pb.UpdateArtifactRequest, _context: object) -> pb.Artifact:
        """Answer UpdateArtifact."""
        given = request.artifact
        with Violations() as violations:
            name = violations.check("artifact.name", ArtifactName.parse, given.name)
            fields = masked_fields(request.update_mask, given, violations)
            violations.check_text("artifact.display_name", given.display_name)
            sync_policies.check(given, fields, violations)
            cache_policies.check(given, fields, violations)
        async with self._database.read() as session:
            row = (await find.artifact(session, name)).row
        check_etag(given.etag, artifact_etag(row), str(name))
        before = Source.of(row)
        source = (
            await self._sources.wanted(name.organization, given, fields, row) if fields & FIELDS else before
        )
        # The upstream may take its time, and a transaction must not.
        if source != before and not request.skip_upstream_check:
            await self._sources.examine(source)
        emptying = source.upstream != before.upstream and not request.validate_only
        async with (
            emptied(self._syncs, row, partial(clearing.clear, self._database, row, self._now))
            if emptying
            else nullcontext(),
            self._database.write(keep=not request.validate_only) as session,
        ):
            if source != before:
                await find.keep_organization(session, name.organization)
                await keep_credential(session, source)
            artifact = await find.artifact(session, name, hold=Hold.CHANGES)
            row = artifact.row
            check_etag(given.etag, artifact_etag(row), str(name))
            changed = source not in (before, Source.of(row))
            moved = changed and source.upstream != before.upstream
            if changed:
                # Written as it was tried, whole: not over what somebody else has changed of it since.
                check_unchanged(Source.of(row), before, str(name))
                source.write(row)
                await access_changed(self._database, session, [saved_id(row)])
            if moved:
                # Nothing of the former upstream is served any more; nodes ask again.
                await tagging.forget(self._database, session, saved_id(row), self._now())
            renamed = "display_name" in fields and given.display_name != row.display_name
            if renamed:
                row.display_name = given.display_name
            repoliced = sync_policies.change(row, given, fields)
            if repoliced or moved:
                self._syncs.schedule.plan(row, self._now())
            recached = cache_policies.change(row, given, fields)
            if recached:
                await self._database.raise_revision(session, Section.ARTIFACTS)
            if repoliced or recached or changed or renamed:
                row.update_time = self._now()
            await session.flush()
            (answer,) = await artifact_messages(session, [artifact])
        if changed and not request.validate_only:
            trigger = pb.SyncJob.UPSTREAM_CHANGE if moved else pb.SyncJob.CREDENTIAL_CHANGE
            return await self._synced(artifact, trigger)
        return answer

    async def DeleteArtifact(self, request: pb.DeleteArtifactRequest, _context: object) -> Empty:
        """Answer DeleteArtifact."""
        with Violations() as violations:
            name = violations.check("name", ArtifactName.parse, request.name)
        async with self._database.read() as session:
            row = (await find.artifact(session, name)).row
        check_etag(request.etag, artifact_etag(row), str(name))
        async with (
            emptied(self._syncs, row, partial(clearing.clear_all, self._database, row)),
            self._database.write() as session,
        ):
            uid, row = row.uid, (await find.artifact(session, name, hold=Hold.GOES)).row
            # Somebody else may have deleted it, and used its name again.
            check_unchanged(row.uid, uid, str(name))
            check_etag(request.etag, artifact_etag(row), str(name))
            # Grants go with their artifact: the entitlements are others without them.
            granting = select(EntitlementGrant.entitlement_id).where(
                EntitlementGrant.artifact_id == saved_id(row)
            )
            others = await lock(session, col(Entitlement.id), Hold.CHANGES, col(Entitlement.id).in_(granting))
            await session.delete(row)
            revision = await self._database.raise_revision(session, Section.ARTIFACTS, Section.ENTITLEMENTS)
            for start in range(0, len(others), BATCH):
                batch = col(Entitlement.id).in_(others[start : start + BATCH])
                await session.exec(update(Entitlement).where(batch).values(config_revision=revision))
        return Empty()

    async def _refuse_existing(self, name: ArtifactName) -> None:
        async with self._database.read() as session:
            organization = await find.organization(session, OrganizationName(name.organization))
            found = await session.exec(
                select(Artifact.id).where(
                    Artifact.organization_id == organization.id, Artifact.path == name.path
                )
            )
            if found.first() is not None:
                raise _exists(name)

    async def _synced(self, artifact: FoundArtifact, trigger: pb.SyncJob.Trigger.ValueType) -> pb.Artifact:
        await self._syncs.request(saved_id(artifact.row), trigger, caller().email)
        async with self._database.read() as session:
            (message,) = await artifact_messages(session, [artifact])
        return message


def _exists(name: ArtifactName) -> Exception:
    return already_exists(
        "ARTIFACT_EXISTS", f"There is {name} already: choose another id, or update that one.", name=str(name)
    )
