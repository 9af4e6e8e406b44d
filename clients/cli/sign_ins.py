"""`penstock sign-ins`."""

from typing import Annotated

import typer

from clients.cli.command import application, command
from clients.cli.output import Field, moment, show_list
from clients.cli.session import Session
from clients.cli.users import OrganizationArgument
from clients.control import names
from clients.control.paging import iterate
from penstock.v1.audit_pb2 import ListRefusedSignInsRequest, RefusedSignIn

app = application("sign-ins", "Sign-ins that were refused.")

FIELDS: tuple[Field[RefusedSignIn], ...] = (
    Field("last", lambda it: moment(it, "last_time")),
    Field("address", lambda it: it.address),
    Field("token", lambda it: it.token_uid or "(unknown)"),
    Field("count", lambda it: str(it.count)),
    Field("first", lambda it: moment(it, "first_time")),
    Field("organization", lambda it: names.last(it.organization)),
)


@command(
    app,
    "list",
    "penstock sign-ins list acme",
    "penstock sign-ins list acme --token-id 01234567-89ab-4cde-8f01-23456789abcd",
    "penstock sign-ins list - --address 192.0.2.7 --output json",
)
async def list_all(
    session: Session,
    organization: OrganizationArgument,
    address: Annotated[
        str, typer.Option("--address", help="Only those from this IP address.", show_default=False)
    ] = "",
    token_id: Annotated[
        str,
        typer.Option("--token-id", help="Only those with this token, by its id.", show_default=False),
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many; 0 for all.")] = 100,
) -> None:
    """List sign-ins that were refused with an organization's tokens.

    `-` for the organization lists everything, unknown tokens included, for administrators of the
    installation. Nodes tell of refusals within half a minute.
    """
    request = ListRefusedSignInsRequest(
        parent=names.organization(organization), address=address, token_uid=token_id
    )
    async with session.control() as control:
        found = iterate(
            control.audit.ListRefusedSignIns, request, lambda page: page.refused_sign_ins, limit=limit or None
        )
        await show_list(found, FIELDS, session.output)
