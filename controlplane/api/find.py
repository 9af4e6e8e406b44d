"""Looks up what requests name, as far as their caller may know that it exists.

What is of another organization and what does not exist at all give the same error.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.api.caller import caller
from controlplane.api.errors import ApiError, not_found
from controlplane.model.access_tables import Entitlement
from controlplane.model.artifact_tables import Artifact
from controlplane.model.naming import (
    ArtifactName,
    ArtifactUid,
    CustomerName,
    EntitlementName,
    OrganizationName,
    UserName,
)
from controlplane.model.tables import Customer, Organization, User


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
    session: AsyncSession, name: OrganizationName, *, change: bool = False
) -> Organization:
    """Find an organization; locked until the transaction ends when it is to `change`.

    Raises ApiError NOT_FOUND, like the others here.
    """
    statement = select(Organization).where(Organization.slug == name.organization)
    found = (await session.exec(statement.with_for_update() if change else statement)).first()
    if found is None or not caller().may_see(found.id):
        raise not_found(
            "ORGANIZATION_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name)
        )
    return found


async def artifact(
    session: AsyncSession, name: ArtifactName | ArtifactUid, *, change: bool = False
) -> FoundArtifact:
    """Find an artifact by name or uid."""
    statement = select(Artifact, Organization).where(Artifact.organization_id == Organization.id)
    match name:
        case ArtifactUid(uid):
            statement = statement.where(Artifact.uid == uid)
        case ArtifactName(slug, path):
            statement = statement.where(Organization.slug == slug, Artifact.path == path)
    if change:
        statement = statement.with_for_update(of=Artifact)
    found = (await session.exec(statement)).first()
    if found is None or not caller().may_see(found[0].organization_id):
        raise unknown_artifact(name)
    return FoundArtifact(found[1], found[0])


def unknown_artifact(name: ArtifactName | ArtifactUid) -> ApiError:
    """Give the error for an artifact that is not there."""
    return not_found("ARTIFACT_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name))


async def user(session: AsyncSession, name: UserName, *, change: bool = False) -> FoundUser:
    """Find a user by uid or e-mail address."""
    statement = select(User, Organization).where(
        User.organization_id == Organization.id,
        Organization.slug == name.organization,
        col(User.email if name.by_email else User.uid) == name.user,
    )
    if change:
        statement = statement.with_for_update(of=User)
    found = (await session.exec(statement)).first()
    if found is None or not caller().may_see_user(found[0]):
        raise not_found("USER_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name))
    return FoundUser(found[1], found[0])


async def customer(session: AsyncSession, name: CustomerName, *, change: bool = False) -> FoundCustomer:
    """Find a customer."""
    statement = select(Customer, Organization).where(
        Customer.organization_id == Organization.id,
        Organization.slug == name.organization,
        Customer.slug == name.customer,
    )
    if change:
        statement = statement.with_for_update(of=Customer)
    found = (await session.exec(statement)).first()
    if found is None or not caller().may_see_customer(found[0].organization_id, found[0].id):
        raise not_found(
            "CUSTOMER_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name)
        )
    return FoundCustomer(found[1], found[0])


async def entitlement(
    session: AsyncSession, name: EntitlementName, *, change: bool = False
) -> FoundEntitlement:
    """Find an entitlement."""
    statement = select(Entitlement, Customer, Organization).where(
        Entitlement.customer_id == Customer.id,
        Entitlement.organization_id == Organization.id,
        Organization.slug == name.organization,
        Entitlement.slug == name.entitlement,
    )
    if change:
        statement = statement.with_for_update(of=Entitlement)
    found = (await session.exec(statement)).first()
    if found is None or not caller().may_see_customer(found[0].organization_id, found[0].customer_id):
        raise not_found(
            "ENTITLEMENT_UNKNOWN", f"There is no {name}, or this token may not see it.", name=str(name)
        )
    return FoundEntitlement(found[2], found[1], found[0])


async def names_of(
    session: AsyncSession, organization_ids: Collection[int | None]
) -> dict[int | None, OrganizationName]:
    """Name the organizations of rows that the caller sees, by their ids; None, and those gone, have none."""
    wanted = set(organization_ids) - {None}
    rows = await session.exec(
        select(Organization.id, Organization.slug).where(col(Organization.id).in_(wanted))
    )
    return {key: OrganizationName(slug) for key, slug in rows}
