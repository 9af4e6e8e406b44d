"""`penstock tokens`."""

import sys
from typing import Annotated

import typer

from clients.cli.command import application, command
from clients.cli.output import Field, Format, document, moment, show, show_deleted, show_json, show_list
from clients.cli.roles import Role, written
from clients.cli.session import Session
from clients.cli.users import OrganizationArgument, UserArgument, find
from clients.cli.when import NEVER, expiry_option
from clients.control import names
from clients.control.client import ControlClient
from clients.control.errors import translated
from clients.control.paging import iterate
from penstock.v1.user_pb2 import (
    CreateTokenRequest,
    DeleteTokenRequest,
    GetTokenRequest,
    ListTokensRequest,
    Token,
)

app = application("tokens", "Access tokens of users, for pulls and this API.")

FIELDS: tuple[Field[Token], ...] = (
    Field("token", lambda it: names.last(it.name)),
    Field("user", lambda it: it.name.split("/")[3]),
    Field("label", lambda it: it.label),
    Field("role", lambda it: written(it.role) or "the user's"),
    Field("ends with", lambda it: it.hint),
    Field("created", lambda it: moment(it, "create_time")),
    Field("expires", lambda it: moment(it, "expire_time")),
    Field("last use", lambda it: moment(it, "last_use_time")),
    Field("from", lambda it: it.last_use_address, listed=False),
)

TokenArgument = Annotated[
    str,
    typer.Argument(metavar="TOKEN", help="Id of the token, as `tokens list` shows it.", show_default=False),
]


@command(
    app,
    "create",
    "penstock tokens create acme ci@example.com",
    "penstock tokens create acme ci@example.com --role read_only --expires 30d --label ci",
    "penstock tokens create acme ci@example.com | docker login 127.0.0.1:8080 -u - --password-stdin",
)
async def create(
    session: Session,
    organization: OrganizationArgument,
    user: UserArgument,
    role: Annotated[
        Role | None,
        typer.Option(
            "--role", case_sensitive=False, help="Lowers the user's role for this token.", show_default=False
        ),
    ] = None,
    expires: Annotated[
        str, typer.Option("--expires", help="In how long, like 30d, or when, like 2030-01-01 (by UTC).")
    ] = NEVER,
    label: Annotated[str, typer.Option("--label", help="What it is for.", show_default=False)] = "",
) -> None:
    """Create a token and print it, once.

    It stands alone on standard output, and is never shown again.
    """
    token = Token(label=label)
    if role is not None:
        token.role = role.value_in_api
    if (end := expiry_option(expires)) is not None:
        token.expire_time.FromDatetime(end)
    async with session.control() as control:
        parent = await find(control, organization, user)
        with translated():
            created = await control.users.CreateToken(CreateTokenRequest(parent=parent.name, token=token))
    if session.output is Format.JSON:
        show_json(document(created))
        return
    print(created.secret)
    if sys.stdout.isatty():
        print("Keep it now: it is not shown again.", file=sys.stderr)


@command(
    app,
    "list",
    "penstock tokens list acme",
    "penstock tokens list acme ci@example.com",
)
async def list_all(
    session: Session,
    organization: OrganizationArgument,
    user: Annotated[
        str | None,
        typer.Argument(metavar="[USER]", help="Only those of this user.", show_default=False),
    ] = None,
) -> None:
    """List the tokens of a user, or of all users.

    What they open with is not shown: only its last four characters.
    """
    async with session.control() as control:
        if user is None:
            parent = f"{names.organization(organization)}/users/-"
        else:
            parent = (await find(control, organization, user)).name
        found = iterate(control.users.ListTokens, ListTokensRequest(parent=parent), lambda page: page.tokens)
        await show_list(found, FIELDS, session.output)


@command(app, "get", "penstock tokens get acme ci@example.com 01234567-89ab-4cde-8f01-23456789abcd")
async def get(
    session: Session, organization: OrganizationArgument, user: UserArgument, token: TokenArgument
) -> None:
    """Show what is known of a token."""
    async with session.control() as control:
        name = await _name(control, organization, user, token)
        with translated():
            found = await control.users.GetToken(GetTokenRequest(name=name))
    show(found, FIELDS, session.output)


@command(app, "delete", "penstock tokens delete acme ci@example.com 01234567-89ab-4cde-8f01-23456789abcd")
async def delete(
    session: Session, organization: OrganizationArgument, user: UserArgument, token: TokenArgument
) -> None:
    """Revoke a token, everywhere within two seconds."""
    async with session.control() as control:
        name = await _name(control, organization, user, token)
        with translated():
            await control.users.DeleteToken(DeleteTokenRequest(name=name))
    show_deleted(f"token {names.last(name)} of {user}", session.output)


async def _name(control: ControlClient, organization: str, user: str, token: str) -> str:
    owner = await find(control, organization, user)
    return f"{owner.name}/tokens/{names.last(token)}"
