"""EntitlementService: what the customers of an organization may pull."""

from collections.abc import Callable, Sequence
from datetime import datetime

from google.protobuf.empty_pb2 import Empty
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.api import entitlement_grants, find
from controlplane.api.caller import caller
from controlplane.api.errors import already_exists
from controlplane.api.etags import check_etag, etag
from controlplane.api.explain import Explain
from controlplane.api.find import FoundEntitlement
from controlplane.api.masks import masked_fields
from controlplane.api.paging import page, text
from controlplane.api.preview import preview
from controlplane.api.timestamps import moment, timestamp
from controlplane.api.validation import Violations
from controlplane.model.access_tables import Entitlement
from controlplane.model.database import Database
from controlplane.model.identifiers import check_entitlement_id, new_uid
from controlplane.model.locks import Hold
from controlplane.model.naming import (
    ArtifactName,
    CustomerName,
    EntitlementName,
    OrganizationName,
)
from controlplane.model.saved import saved_id
from controlplane.model.section import Section
from controlplane.model.tables import Customer
from controlplane.upstream.access import UpstreamAccess
from penstock.v1 import entitlement_pb2 as pb
from penstock.v1.entitlement_pb2_grpc import EntitlementServiceServicer


class EntitlementServicer(Explain, EntitlementServiceServicer):
    """Answers from the table of entitlements; `now` is the time of day in UTC."""

    def __init__(self, database: Database, upstreams: UpstreamAccess, now: Callable[[], datetime]) -> None:
        super().__init__(database, upstreams, now)
        self._database = database
        self._now = now

    async def GetEntitlement(self, request: pb.GetEntitlementRequest, _context: object) -> pb.Entitlement:
        """Answer GetEntitlement."""
        with Violations() as violations:
            name = violations.check("name", EntitlementName.parse, request.name)
        async with self._database.read() as session:
            return await _message(session, await find.entitlement(session, name))

    async def ListEntitlements(
        self, request: pb.ListEntitlementsRequest, _context: object
    ) -> pb.ListEntitlementsResponse:
        """Answer ListEntitlements."""
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            customer = artifact = None
            if request.customer:
                customer = violations.check("customer", CustomerName.parse, request.customer)
            if request.artifact:
                artifact = violations.check("artifact", ArtifactName.parse, request.artifact)
            scope = f"{request.parent}/entitlements {request.customer} {request.artifact}"
            wanted = page(request, scope, violations, text)
        async with self._database.read() as session:
            organization = await find.organization(session, parent)
            statement = (
                select(Entitlement, Customer)
                .where(
                    Entitlement.organization_id == organization.id,
                    Entitlement.customer_id == Customer.id,
                    col(Entitlement.slug) > (wanted.after or ""),
                )
                .order_by(col(Entitlement.slug))
                .limit(wanted.limit)
            )
            if customer is not None:
                named = await find.customer(session, customer)
                statement = statement.where(Entitlement.customer_id == named.row.id)
            if caller().of_customer:
                statement = statement.where(Entitlement.customer_id == caller().customer_id)
            if artifact is not None:
                # Not found by name here: users of customers may not ask which artifacts there are.
                statement = statement.where(
                    col(Entitlement.id).in_(entitlement_grants.naming(organization, artifact))
                )
            rows = (await session.exec(statement)).all()
            shown, token = wanted.cut(rows, lambda row: row[0].slug)
            entitlements = await _messages(
                session, [FoundEntitlement(organization, owner, row) for row, owner in shown]
            )
        return pb.ListEntitlementsResponse(entitlements=entitlements, next_page_token=token)

    async def CreateEntitlement(
        self, request: pb.CreateEntitlementRequest, _context: object
    ) -> pb.Entitlement:
        """Answer CreateEntitlement."""
        given = request.entitlement
        with Violations() as violations:
            parent = violations.check("parent", OrganizationName.parse, request.parent)
            slug = violations.check("entitlement_id", check_entitlement_id, request.entitlement_id)
            violations.check_text("entitlement.display_name", given.display_name)
            organization_id = parent.organization if parent else ""
            customer = _check_customer(given, organization_id, violations)
            grants = entitlement_grants.check(given.grants, organization_id, violations)
            expire_time = _check_expiry(given, violations)
        now = self._now()
        try:
            async with self._database.write(keep=not request.validate_only) as session:
                organization = await find.organization(session, parent, hold=Hold.CHANGES)
                await entitlement_grants.keep_artifacts(session, parent.organization, grants)
                owner = await find.customer(session, customer, hold=Hold.CHANGES)
                sections = [Section.ENTITLEMENTS]
                if not organization.entitled_only:
                    # The first one, or the first after an administrator had opened it again.
                    organization.entitled_only = True
                    organization.update_time = now
                    sections.append(Section.ORGANIZATIONS)
                row = Entitlement(
                    uid=new_uid(),
                    organization_id=saved_id(organization),
                    customer_id=saved_id(owner.row),
                    slug=slug,
                    display_name=given.display_name,
                    expire_time=expire_time,
                    config_revision=await self._database.raise_revision(session, *sections),
                    create_time=now,
                    update_time=now,
                )
                session.add(row)
                await session.flush()
                found = FoundEntitlement(organization, owner.row, row)
                await entitlement_grants.save(session, found, grants)
                answer = await _message(session, found)
        except IntegrityError as error:
            name = str(EntitlementName(parent.organization, slug))
            raise already_exists(
                "ENTITLEMENT_EXISTS", f"There is {name} already: choose another id.", name=name
            ) from error
        return preview(answer) if request.validate_only else answer

    async def UpdateEntitlement(
        self, request: pb.UpdateEntitlementRequest, _context: object
    ) -> pb.Entitlement:
        """Answer UpdateEntitlement."""
        given = request.entitlement
        with Violations() as violations:
            name = violations.check("entitlement.name", EntitlementName.parse, given.name)
            fields = masked_fields(request.update_mask, given, violations)
            violations.check_text("entitlement.display_name", given.display_name)
            grants = None
            if "grants" in fields and name:
                grants = entitlement_grants.check(given.grants, name.organization, violations)
            expire_time = _check_expiry(given, violations)
        async with self._database.write(keep=not request.validate_only) as session:
            if grants is not None:
                await entitlement_grants.keep_artifacts(session, name.organization, grants)
            found = await find.entitlement(session, name, hold=Hold.CHANGES)
            row = found.row
            before = await _message(session, found)
            check_etag(given.etag, before.etag, str(name))
            if "customer" in fields and given.customer != before.customer:
                with Violations() as violations:
                    violations.add(
                        "entitlement.customer", f"stays {before.customer}: create another entitlement."
                    )
            if "display_name" in fields:
                row.display_name = given.display_name
            if "expire_time" in fields:
                row.expire_time = expire_time
            if grants is not None:
                await entitlement_grants.save(session, found, grants)
            after = await _message(session, found)
            if after == before:
                return after
            row.update_time = self._now()
            row.config_revision = await self._database.raise_revision(session, Section.ENTITLEMENTS)
            return await _message(session, found)

    async def DeleteEntitlement(self, request: pb.DeleteEntitlementRequest, _context: object) -> Empty:
        """Answer DeleteEntitlement."""
        with Violations() as violations:
            name = violations.check("name", EntitlementName.parse, request.name)
        async with self._database.write() as session:
            found = await find.entitlement(session, name, hold=Hold.GOES)
            check_etag(request.etag, (await _message(session, found)).etag, str(name))
            await session.delete(found.row)
            await self._database.raise_revision(session, Section.ENTITLEMENTS)
        return Empty()


def _check_customer(given: pb.Entitlement, organization: str, violations: Violations) -> CustomerName:
    name = violations.check("entitlement.customer", CustomerName.parse, given.customer)
    if name is not None and name.organization != organization:
        violations.add("entitlement.customer", f"must be a customer of organizations/{organization}.")
    return name


def _check_expiry(given: pb.Entitlement, violations: Violations) -> datetime | None:
    # It may be in the past: that ends an entitlement, and keeps it for the record.
    if not given.HasField("expire_time"):
        return None
    return violations.check("entitlement.expire_time", moment, given.expire_time)


async def _message(session: AsyncSession, found: FoundEntitlement) -> pb.Entitlement:
    (message,) = await _messages(session, [found])
    return message


async def _messages(session: AsyncSession, found: Sequence[FoundEntitlement]) -> list[pb.Entitlement]:
    if not found:
        return []
    grants = await entitlement_grants.messages(
        session, found[0].organization, [saved_id(each.row) for each in found]
    )
    made = []
    for each in found:
        row = each.row
        message = pb.Entitlement(
            name=str(each.name),
            uid=row.uid,
            display_name=row.display_name,
            customer=str(CustomerName(each.organization.slug, each.customer.slug)),
            grants=grants[saved_id(row)],
            expire_time=timestamp(row.expire_time),
            create_time=timestamp(row.create_time),
            update_time=timestamp(row.update_time),
        )
        message.etag = etag(message.SerializeToString(deterministic=True).hex())
        made.append(message)
    return made
