"""`penstock organizations`."""

from enum import StrEnum
from typing import Annotated

import typer

from clients.cli.command import application, command
from clients.cli.failure import Failure
from clients.cli.output import Field, moment, show, show_deleted, show_list
from clients.cli.session import Session
from clients.control import names
from clients.control.channel import EMPTYING_TIMEOUT
from clients.control.errors import translated
from clients.control.paging import iterate
from clients.process.exits import Exit
from penstock.v1.organization_pb2 import (
    CreateOrganizationRequest,
    DeleteOrganizationRequest,
    GetOrganizationRequest,
    ListOrganizationsRequest,
    Organization,
    UpdateOrganizationRequest,
)

app = application("organizations", "Organizations: owners of artifacts and users.")


class CustomerAccess(StrEnum):
    """What customers see without an entitlement, as people write it."""

    OPEN = "open"
    ENTITLED = "entitled"

    @property
    def value_in_api(self) -> "Organization.CustomerAccess.ValueType":
        """The value in the API."""
        return Organization.CustomerAccess.Value(self.name)


_SEEN = {Organization.OPEN: "everything", Organization.ENTITLED: "what they are entitled to"}

FIELDS: tuple[Field[Organization], ...] = (
    Field("organization", lambda it: names.last(it.name)),
    Field("display name", lambda it: it.display_name),
    Field("customers see", lambda it: _SEEN.get(it.customer_access, "")),
    Field("created", lambda it: moment(it, "create_time")),
    Field("updated", lambda it: moment(it, "update_time"), listed=False),
    Field("uid", lambda it: it.uid, listed=False),
)

IdArgument = Annotated[
    str, typer.Argument(metavar="ORGANIZATION", help="Its id, like acme.", show_default=False)
]
DisplayNameOption = Annotated[
    str, typer.Option("--display-name", help="A name for people.", show_default=False)
]
AccessOption = Annotated[
    CustomerAccess | None,
    typer.Option(
        "--customer-access",
        help="What customers see without an entitlement: everything, or nothing.",
        show_default=False,
    ),
]


@command(
    app,
    "create",
    "penstock organizations create acme",
    "penstock organizations create acme --display-name 'Acme Corp.' --customer-access entitled",
)
async def create(
    session: Session,
    organization: IdArgument,
    display_name: DisplayNameOption = "",
    customer_access: AccessOption = None,
) -> None:
    """Create an organization.

    Its customers see everything until it has its first entitlement, unless it starts as `entitled`.
    """
    request = CreateOrganizationRequest(
        organization=Organization(display_name=display_name),
        organization_id=names.last(names.organization(organization)),
    )
    if customer_access is not None:
        request.organization.customer_access = customer_access.value_in_api
    async with session.control() as control:
        with translated():
            created = await control.organizations.CreateOrganization(request)
    show(created, FIELDS, session.output)


@command(app, "get", "penstock organizations get acme", "penstock organizations get acme --output json")
async def get(session: Session, organization: IdArgument) -> None:
    """Show an organization."""
    request = GetOrganizationRequest(name=names.organization(organization))
    async with session.control() as control:
        with translated():
            found = await control.organizations.GetOrganization(request)
    show(found, FIELDS, session.output)


@command(
    app, "list", "penstock organizations list", "penstock organizations list --output json | jq -r '.[].name'"
)
async def list_all(session: Session) -> None:
    """List the organizations that you may see."""
    async with session.control() as control:
        found = iterate(
            control.organizations.ListOrganizations,
            ListOrganizationsRequest(),
            lambda page: page.organizations,
        )
        await show_list(found, FIELDS, session.output)


@command(app, "update", "penstock organizations update acme --display-name 'Acme Corporation'")
async def update(
    session: Session,
    organization: IdArgument,
    display_name: Annotated[
        str | None, typer.Option("--display-name", help="A name for people.", show_default=False)
    ] = None,
    customer_access: AccessOption = None,
) -> None:
    """Change an organization's display name, or what its customers see."""
    request = UpdateOrganizationRequest(organization=Organization(name=names.organization(organization)))
    if display_name is not None:
        request.organization.display_name = display_name
        request.update_mask.paths.append("display_name")
    if customer_access is not None:
        request.organization.customer_access = customer_access.value_in_api
        request.update_mask.paths.append("customer_access")
    if not request.update_mask.paths:
        raise Failure("There is nothing to change: give --display-name or --customer-access.", Exit.USAGE)
    async with session.control() as control:
        with translated():
            updated = await control.organizations.UpdateOrganization(request)
    show(updated, FIELDS, session.output)


@command(app, "delete", "penstock organizations delete acme", "penstock organizations delete acme --force")
async def delete(
    session: Session,
    organization: IdArgument,
    force: Annotated[
        bool, typer.Option("--force", help="Delete its artifacts, users and tokens as well.")
    ] = False,
) -> None:
    """Delete an organization.

    It must have no artifacts and users any more, unless --force is given.
    """
    name = names.organization(organization)
    async with session.control() as control:
        with translated():
            request = DeleteOrganizationRequest(name=name, force=force)
            await control.organizations.DeleteOrganization(request, timeout=EMPTYING_TIMEOUT)
    show_deleted(name, session.output)
