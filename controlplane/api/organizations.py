"""OrganizationService: the owners of artifacts and users."""

from collections.abc import Callable
from datetime import datetime

from google.protobuf.empty_pb2 import Empty
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.api import find
from controlplane.api.caller import caller
from controlplane.api.errors import already_exists, precondition
from controlplane.api.etags import check_etag, check_unchanged, etag
from controlplane.api.masks import masked_fields
from controlplane.api.paging import page, text
from controlplane.api.preview import preview
from controlplane.api.timestamps import timestamp
from controlplane.api.validation import Violations
from controlplane.catalog import clearing
from controlplane.catalog.held import BATCH
from controlplane.model.access_tables import Entitlement
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.identifiers import check_slug, new_uid
from controlplane.model.locks import Hold, lock
from controlplane.model.naming import OrganizationName
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.model.tables import Customer, Organization, User
from controlplane.model.upstream_tables import Credential
from controlplane.sync.emptying import Emptying, is_emptied
from controlplane.sync.runner import Syncs
from penstock.v1 import organization_pb2 as pb
from penstock.v1.organization_pb2_grpc import OrganizationServiceServicer


class OrganizationServicer(OrganizationServiceServicer):
    """Answers from the organization table; `now` is the time of day in UTC."""

    def __init__(self, database: Database, syncs: Syncs, now: Callable[[], datetime]) -> None:
        self._database = database
        self._syncs = syncs
        self._now = now

    async def GetOrganization(self, request: pb.GetOrganizationRequest, _context: object) -> pb.Organization:
        """Answer GetOrganization."""
        with Violations() as violations:
            name = violations.check("name", OrganizationName.parse, request.name)
        async with self._database.read() as session:
            return _message(await find.organization(session, name))

    async def ListOrganizations(
        self, request: pb.ListOrganizationsRequest, _context: object
    ) -> pb.ListOrganizationsResponse:
        """Answer ListOrganizations."""
        with Violations() as violations:
            wanted = page(request, "organizations", violations, text)
        who = caller()
        statement = select(Organization).order_by(col(Organization.slug)).limit(wanted.limit)
        statement = statement.where(col(Organization.slug) > (wanted.after or ""))
        if not who.of_installation:
            statement = statement.where(Organization.id == who.organization_id)
        async with self._database.read() as session:
            rows = (await session.exec(statement)).all()
        shown, token = wanted.cut(rows, lambda row: row.slug)
        return pb.ListOrganizationsResponse(
            organizations=[_message(row) for row in shown], next_page_token=token
        )

    async def CreateOrganization(
        self, request: pb.CreateOrganizationRequest, _context: object
    ) -> pb.Organization:
        """Answer CreateOrganization."""
        with Violations() as violations:
            slug = violations.check("organization_id", check_slug, request.organization_id)
            display_name = violations.check_text(
                "organization.display_name", request.organization.display_name
            )
            entitled_only = _check_access(request.organization, violations)
        now = self._now()
        row = Organization(
            uid=new_uid(),
            slug=slug,
            display_name=display_name,
            entitled_only=entitled_only,
            create_time=now,
            update_time=now,
        )
        try:
            async with self._database.write(keep=not request.validate_only) as session:
                session.add(row)
                await self._database.raise_revision(session, Section.ORGANIZATIONS)
                answer = _message(row)
        except IntegrityError as error:
            name = str(OrganizationName(slug))
            raise already_exists(
                "ORGANIZATION_EXISTS", f"There is {name} already: choose another id.", name=name
            ) from error
        return preview(answer) if request.validate_only else answer

    async def UpdateOrganization(
        self, request: pb.UpdateOrganizationRequest, _context: object
    ) -> pb.Organization:
        """Answer UpdateOrganization."""
        given = request.organization
        with Violations() as violations:
            name = violations.check("organization.name", OrganizationName.parse, given.name)
            fields = masked_fields(request.update_mask, given, violations)
            violations.check_text("organization.display_name", given.display_name)
            entitled_only = _check_access(given, violations)
        async with self._database.write(keep=not request.validate_only) as session:
            row = await find.organization(session, name, hold=Hold.CHANGES)
            check_etag(given.etag, _etag(row), str(name))
            before = (row.display_name, row.entitled_only)
            if "display_name" in fields:
                row.display_name = given.display_name
            # Left out of a replacement of everything, it opens nothing.
            named = "customer_access" in fields and given.customer_access
            if named and entitled_only != row.entitled_only:
                row.entitled_only = entitled_only
                await self._database.raise_revision(session, Section.ORGANIZATIONS)
            if (row.display_name, row.entitled_only) != before:
                row.update_time = self._now()
            return _message(row)

    async def DeleteOrganization(self, request: pb.DeleteOrganizationRequest, _context: object) -> Empty:
        """Answer DeleteOrganization."""
        with Violations() as violations:
            name = violations.check("name", OrganizationName.parse, request.name)
        async with self._database.read() as session:
            row = await find.organization(session, name)
            check_etag(request.etag, _etag(row), str(name))
            if not request.force:
                await _refuse_unless_empty(session, row)
        async with self._syncs.emptying(caller().email) as emptying:
            if request.force:
                await self._empty(saved_id(row), emptying)
            await self._delete(request, name, row.uid)
        return Empty()

    async def _empty(self, organization_id: int, emptying: Emptying) -> None:
        """Empty all artifacts, those included that come meanwhile, or that a run got hold of after all.

        Also those that somebody else empties: that may not be done, and whoever did it be gone.
        """
        last = 0
        while True:
            async with self._database.read() as session:
                full = (col(Artifact.id) > last) | ~is_emptied(session)
                which = (Artifact.organization_id == organization_id, full)
                found = await session.exec(
                    select(Artifact).where(*which).order_by(col(Artifact.id)).limit(BATCH)
                )
                artifacts = found.all()
            if not artifacts:
                return
            for artifact in artifacts:
                await clearing.clear_all(self._database, artifact, emptying.take)
            last = max(last, saved_id(artifacts[-1]))

    async def _delete(self, request: pb.DeleteOrganizationRequest, name: OrganizationName, uid: str) -> None:
        async with self._database.write() as session:
            row = await find.organization(session, name, hold=Hold.GOES)
            # Somebody else may have deleted it, and used its name again.
            check_unchanged(row.uid, uid, str(name))
            check_etag(request.etag, _etag(row), str(name))
            if not request.force:
                await _refuse_unless_empty(session, row)
            # They go with it, but in an order that is the database's.
            for table in (Credential, Artifact, Customer, User, Entitlement):
                await lock(session, col(table.id), Hold.GOES, col(table.organization_id) == row.id)
            await session.delete(row)
            await self._database.raise_revision(session)


def _check_access(given: pb.Organization, violations: Violations) -> bool:
    """Tell whether customers are to see only what they are entitled to."""
    if given.customer_access not in pb.Organization.CustomerAccess.values():
        violations.add("organization.customer_access", "must be OPEN or ENTITLED.")
    return given.customer_access == pb.Organization.ENTITLED


def _message(row: Organization) -> pb.Organization:
    return pb.Organization(
        name=str(OrganizationName(row.slug)),
        uid=row.uid,
        display_name=row.display_name,
        customer_access=pb.Organization.ENTITLED if row.entitled_only else pb.Organization.OPEN,
        create_time=timestamp(row.create_time),
        update_time=timestamp(row.update_time),
        etag=_etag(row),
    )


def _etag(row: Organization) -> str:
    return etag(row.uid, row.display_name, row.entitled_only, row.update_time)


async def _refuse_unless_empty(session: AsyncSession, row: Organization) -> None:
    artifacts = await session.exec(
        select(func.count()).select_from(Artifact).where(Artifact.organization_id == row.id)
    )
    users = await session.exec(select(func.count()).select_from(User).where(User.organization_id == row.id))
    counts = {"artifacts": artifacts.one(), "users": users.one()}
    if any(counts.values()):
        raise precondition(
            "ORGANIZATION_NOT_EMPTY",
            f"{OrganizationName(row.slug)} still has {counts['artifacts']} artifacts and"
            f" {counts['users']} users: delete them first, or set `force` to delete them with it.",
            **{kind: str(number) for kind, number in counts.items()},
        )
