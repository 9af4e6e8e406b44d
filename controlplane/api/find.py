"""Looks up what requests name, as far as their caller may know that it exists.

What is of another organization and what does not exist at all give the same error.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import ColumnElement, GenerativeSelect
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from controlplane.api.caller import caller
from controlplane.api.errors import ApiError, not_found
from controlplane.model.access_tables import Entitlement
from controlplane.model.artifact_tables import Artifact
from controlplane.model.identifiers import InvalidName
from controlplane.model.locks import Hold, lock
from controlplane.model.naming import (
    ArtifactName,
    ArtifactUid,
    CustomerName,
    EntitlementName,
    OrganizationName,
    UserName,
)
from controlplane.model.tables import Customer, Organization, User

_Statement = TypeVar("_Statement", bound=GenerativeSelect)


@dataclass(frozen=True, slots=True)
class FoundArtifact:
    """An artifact with what its name is made of."""

    organization: Organization
    row: Artifact

    @property
    def name(self) -> ArtifactName:
        """Its resource name."""
        return ArtifactName(self.organization.slug, self.row.path)


@dataclass(frozen=True, slots=True)
class FoundUser:
    """A user with what its name is made of."""

    organization: Organization
    row: User

    @property
    def name(self) -> UserName:
        """Its resource name, with the uid."""
        return UserName(self.organization.slug, self.row.uid)


@dataclass(frozen=True, slots=True)
class FoundCustomer:
    """A customer with what its name is made of."""

    organization: Organization
    row: Customer

    @property
    def name(self) -> CustomerName:
        """Its resource name."""
        return CustomerName(self.organization.slug, self.row.slug)


@dataclass(frozen=True, slots=True)
class FoundEntitlement:
    """An entitlement with what its name, and that of its customer, are made of."""

    organization: Organization
    customer: Customer
    row: Entitlement

    @property
    def name(self) -> EntitlementName:
        """Its resource name."""
        return EntitlementName(self.organization.slug, self.row.slug)


async def organization(
    session: AsyncSession, name: OrganizationName, *, hold: Hold | None = None
) -> Organization:
    """Find an organization; with `hold`, locked until the transaction ends.

    Raises ApiError NOT_FOUND. So do the others here, and lock before it what the row belongs to.
    """
    statement = select(Organization).where(Organization.slug == name.organization)
    found = (await session.exec(_held(statement, Organization, hold))).first()
    if found is None or not caller().may_see(found.id):
        raise not_found(
            "ORGANIZATION_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name)
        )
    return found


async def artifact(
    session: AsyncSession, name: ArtifactName | ArtifactUid, *, hold: Hold | None = None
) -> FoundArtifact:
    """Find an artifact by name or uid."""
    if hold and isinstance(name, ArtifactName):
        await keep_organization(session, name.organization)
    statement = select(Artifact, Organization).where(Artifact.organization_id == Organization.id)
    match name:
        case ArtifactUid(uid):
            statement = statement.where(Artifact.uid == uid)
        case ArtifactName(slug, path):
            statement = statement.where(Organization.slug == slug, Artifact.path == path)
    found = (await session.exec(_held(statement, Artifact, hold))).first()
    if found is None or not caller().may_see(found[0].organization_id):
        raise unknown_artifact(name)
    return FoundArtifact(found[1], found[0])


def unknown_artifact(name: ArtifactName | ArtifactUid) -> ApiError:
    """Give the error for an artifact that is not there."""
    return not_found("ARTIFACT_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name))


async def user(session: AsyncSession, name: UserName, *, hold: Hold | None = None) -> FoundUser:
    """Find a user by uid or e-mail address."""
    which = _is_user(name)
    if hold:
        await keep_organization(session, name.organization)
        await _keep_customer(session, select(col(User.customer_id)).where(*which))
    statement = select(User, Organization).where(*which)
    found = (await session.exec(_held(statement, User, hold))).first()
    if found is None or not caller().may_see_user(found[0]):
        raise not_found("USER_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name))
    return FoundUser(found[1], found[0])


async def customer(session: AsyncSession, name: CustomerName, *, hold: Hold | None = None) -> FoundCustomer:
    """Find a customer."""
    if hold:
        await keep_organization(session, name.organization)
    statement = select(Customer, Organization).where(
        Customer.organization_id == Organization.id,
        Organization.slug == name.organization,
        Customer.slug == name.customer,
    )
    found = (await session.exec(_held(statement, Customer, hold))).first()
    if found is None or not caller().may_see_customer(found[0].organization_id, found[0].id):
        raise not_found(
            "CUSTOMER_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name)
        )
    return FoundCustomer(found[1], found[0])


async def entitlement(
    session: AsyncSession, name: EntitlementName, *, hold: Hold | None = None
) -> FoundEntitlement:
    """Find an entitlement."""
    which = (
        Entitlement.organization_id == Organization.id,
        Organization.slug == name.organization,
        Entitlement.slug == name.entitlement,
    )
    if hold:
        await keep_organization(session, name.organization)
        await _keep_customer(session, select(col(Entitlement.customer_id)).where(*which))
    statement = select(Entitlement, Customer, Organization).where(
        *which, Entitlement.customer_id == Customer.id
    )
    found = (await session.exec(_held(statement, Entitlement, hold))).first()
    if found is None or not caller().may_see_customer(found[0].organization_id, found[0].customer_id):
        raise not_found(
            "ENTITLEMENT_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name)
        )
    return FoundEntitlement(found[2], found[1], found[0])


async def also_named(session: AsyncSession, name: str) -> list[str]:
    """Give the names that a resource may be called by: a user that is there, and what is below, has two."""
    head = "/".join(name.split("/")[:4])
    try:
        user = UserName.parse(head)
    except InvalidName:
        return [name]
    statement = select(User.uid, User.email).where(*_is_user(user))
    found = (await session.exec(statement)).first() or ()
    return [name, *(f"{UserName(user.organization, each)}{name.removeprefix(head)}" for each in found)]


async def names_of(
    session: AsyncSession, organization_ids: Collection[int | None]
) -> dict[int | None, OrganizationName]:
    """Name the organizations of rows that the caller sees, by their ids; None, and those gone, have none."""
    wanted = set(organization_ids) - {None}
    rows = await session.exec(
        select(Organization.id, Organization.slug).where(col(Organization.id).in_(wanted))
    )
    return {key: OrganizationName(slug) for key, slug in rows}


def _is_user(name: UserName) -> tuple[ColumnElement[bool], ...]:
    return (
        col(User.organization_id) == Organization.id,
        col(Organization.slug) == name.organization,
        col(User.email if name.by_email else User.uid) == name.user,
    )


async def keep_organization(session: AsyncSession, slug: str) -> None:
    """Have an organization stay until the transaction ends, if it is there."""
    await lock(session, col(Organization.id), Hold.STAYS, col(Organization.slug) == slug)


async def _keep_customer(
    session: AsyncSession, chosen: SelectOfScalar[int] | SelectOfScalar[int | None]
) -> None:
    await lock(session, col(Customer.id), Hold.STAYS, col(Customer.id).in_(chosen))


def _held(statement: _Statement, table: type[SQLModel], hold: Hold | None) -> _Statement:
    if hold is None:
        return statement
    return statement.with_for_update(of=table, read=hold.shared, key_share=hold.leaves_key)
