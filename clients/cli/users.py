"""`penstock users`."""

from typing import Annotated

import typer

from clients.cli.command import application, command
from clients.cli.failure import Failure
from clients.cli.output import Field, moment, show, show_deleted, show_list
from clients.cli.roles import Role, written
from clients.cli.session import Session
from clients.control import names
from clients.control.client import ControlClient
from clients.control.errors import translated
from clients.control.paging import iterate
from clients.process.exits import Exit
from penstock.v1.user_pb2 import (
    CreateUserRequest,
    DeleteUserRequest,
    GetUserRequest,
    ListUsersRequest,
    UpdateUserRequest,
    User,
)

app = application("users", "People and machines in an organization.")

FIELDS: tuple[Field[User], ...] = (
    Field("email", lambda it: it.email),
    Field("role", lambda it: written(it.role)),
    Field("customer", lambda it: names.last(it.customer)),
    Field("display name", lambda it: it.display_name),
    Field("created", lambda it: moment(it, "create_time")),
    Field("updated", lambda it: moment(it, "update_time"), listed=False),
    Field("name", lambda it: it.name, listed=False),
)

OrganizationArgument = Annotated[
    str, typer.Argument(metavar="ORGANIZATION", help="The organization's id, like acme.", show_default=False)
]
UserArgument = Annotated[
    str, typer.Argument(metavar="USER", help="E-mail address, or id, of the user.", show_default=False)
]
DisplayNameOption = Annotated[
    str | None, typer.Option("--display-name", help="A name for people.", show_default=False)
]


async def find(control: ControlClient, organization: str, user: str) -> User:
    """Get a user by e-mail address or id; raises ControlError and InvalidName."""
    with translated():
        return await control.users.GetUser(GetUserRequest(name=names.user(organization, user)))


@command(
    app,
    "create",
    "penstock users create acme ci@example.com --role read_only",
    "penstock users create acme ann@example.com --role admin --display-name Ann",
    "penstock users create acme ops@globex.example --role read_only --customer globex",
)
async def create(
    session: Session,
    organization: OrganizationArgument,
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="E-mail address.", show_default=False)],
    role: Annotated[
        Role, typer.Option("--role", case_sensitive=False, help="What the user may do.")
    ] = Role.READ_ONLY,
    customer: Annotated[
        str | None,
        typer.Option(
            "--customer", help="Id of the customer whose user it is, like globex.", show_default=False
        ),
    ] = None,
    display_name: DisplayNameOption = None,
) -> None:
    """Create a user, who can then be given tokens.

    A user of a customer pulls what that customer is entitled to, and sees nothing else.
    """
    request = CreateUserRequest(
        parent=names.organization(organization),
        user=User(email=email, role=role.value_in_api, display_name=display_name or ""),
    )
    if customer is not None:
        request.user.customer = names.customer(organization, customer)
    async with session.control() as control:
        with translated():
            created = await control.users.CreateUser(request)
    show(created, FIELDS, session.output)


@command(app, "get", "penstock users get acme ci@example.com")
async def get(session: Session, organization: OrganizationArgument, user: UserArgument) -> None:
    """Show a user."""
    async with session.control() as control:
        found = await find(control, organization, user)
    show(found, FIELDS, session.output)


@command(app, "list", "penstock users list acme", "penstock users list acme --output json")
async def list_all(session: Session, organization: OrganizationArgument) -> None:
    """List the users of an organization."""
    request = ListUsersRequest(parent=names.organization(organization))
    async with session.control() as control:
        await show_list(
            iterate(control.users.ListUsers, request, lambda page: page.users), FIELDS, session.output
        )


@command(app, "update", "penstock users update acme ci@example.com --role read_write")
async def update(
    session: Session,
    organization: OrganizationArgument,
    user: UserArgument,
    role: Annotated[
        Role | None,
        typer.Option("--role", case_sensitive=False, help="What the user may do.", show_default=False),
    ] = None,
    display_name: DisplayNameOption = None,
) -> None:
    """Change a user's role or display name.

    The tokens of the user follow at once: none can do more than its user.
    """
    request = UpdateUserRequest()
    if role is not None:
        request.user.role = role.value_in_api
        request.update_mask.paths.append("role")
    if display_name is not None:
        request.user.display_name = display_name
        request.update_mask.paths.append("display_name")
    if not request.update_mask.paths:
        raise Failure("There is nothing to change: give --role or --display-name.", Exit.USAGE)
    async with session.control() as control:
        request.user.name = (await find(control, organization, user)).name
        with translated():
            updated = await control.users.UpdateUser(request)
    show(updated, FIELDS, session.output)


@command(app, "delete", "penstock users delete acme ci@example.com")
async def delete(session: Session, organization: OrganizationArgument, user: UserArgument) -> None:
    """Delete a user and all tokens of the user."""
    async with session.control() as control:
        found = await find(control, organization, user)
        with translated():
            await control.users.DeleteUser(DeleteUserRequest(name=found.name))
    show_deleted(found.email, session.output)
