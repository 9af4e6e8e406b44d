"""`penstock organizations`."""

from typing import Annotated

import typer

from clients.cli.command import application, command
from clients.cli.output import Field, moment, show, show_deleted, show_list
from clients.cli.session import Session
from clients.control import names
from clients.control.errors import translated
from clients.control.paging import iterate
from penstock.v1.organization_pb2 import (
    CreateOrganizationRequest,
    DeleteOrganizationRequest,
    GetOrganizationRequest,
    ListOrganizationsRequest,
    Organization,
    UpdateOrganizationRequest,
)

app = application("organizations", "Organizations: owners of artifacts and users.")

FIELDS: tuple[Field[Organization], ...] = (
    Field("organization", lambda it: names.last(it.name)),
    Field("display name", lambda it: it.display_name),
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


@command(
    app,
    "create",
    "penstock organizations create acme",
    "penstock organizations create acme --display-name 'Acme Corp.'",
)
async def create(session: Session, organization: IdArgument, display_name: DisplayNameOption = "") -> None:
    """Create an organization."""
    request = CreateOrganizationRequest(
        organization=Organization(display_name=display_name),
        organization_id=names.last(names.organization(organization)),
    )
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
        str, typer.Option("--display-name", help="A name for people.", show_default=False)
    ],
) -> None:
    """Change an organization's display name."""
    request = UpdateOrganizationRequest(
        organization=Organization(name=names.organization(organization), display_name=display_name)
    )
    request.update_mask.paths.append("display_name")
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
            await control.organizations.DeleteOrganization(DeleteOrganizationRequest(name=name, force=force))
    show_deleted(name, session.output)
