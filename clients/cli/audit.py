"""`penstock audit`."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from google.protobuf.json_format import MessageToDict

from clients.cli.command import application, command
from clients.cli.output import Field, moment, show_list
from clients.cli.session import Session
from clients.cli.users import OrganizationArgument
from clients.cli.when import past_option
from clients.control import names
from clients.control.paging import iterate
from penstock.v1.audit_pb2 import AuditEntry, ListAuditEntriesRequest

app = application("audit", "Who changed what.")


def outcome(entry: AuditEntry) -> str:
    """Say what was done, of a request that makes many changes."""
    return ", ".join(
        f"{name}: {_written(value)}" for name, value in sorted(MessageToDict(entry.outcome).items())
    )


def _written(value: object) -> str:
    # Numbers of a Struct are floating, and all of these are counts.
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return json.dumps(whole, ensure_ascii=False)


FIELDS: tuple[Field[AuditEntry], ...] = (
    Field("time", lambda it: moment(it, "time")),
    Field("who", lambda it: it.email),
    Field("from", lambda it: it.address),
    Field("method", lambda it: it.method),
    Field("resource", lambda it: it.resource),
    Field("outcome", outcome),
)


@command(
    app,
    "list",
    "penstock audit list acme",
    "penstock audit list acme --email ann@example.com --method DeleteToken",
    "penstock audit list acme --from 2030-01-01 --to 2030-02-01 --limit 0 --output json",
    "penstock audit list - --limit 20 --output json",
)
async def list_all(
    session: Session,
    organization: OrganizationArgument,
    email: Annotated[str, typer.Option("--email", help="Only what they did.", show_default=False)] = "",
    method: Annotated[
        str, typer.Option("--method", help="Only calls of it, like DeleteToken.", show_default=False)
    ] = "",
    resource: Annotated[
        str,
        typer.Option(
            "--resource",
            help="Only changes of it, or below, like organizations/acme/artifacts/redis.",
            show_default=False,
        ),
    ] = "",
    since: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="From when on: 2030-01-31 (by UTC), a time, or 7d for so long ago.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", help="Before when, likewise.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="At most so many; 0 for all.")] = 100,
) -> None:
    """List what was changed in an organization, newest first.

    `-` for the organization lists everything, for administrators of the installation.
    """
    request = ListAuditEntriesRequest(
        parent=names.organization(organization),
        email=email,
        method=method,
        resource=resource,
    )
    now = datetime.now(UTC)
    if since is not None:
        request.start_time.FromDatetime(past_option(since, now, "--from"))
    if until is not None:
        request.end_time.FromDatetime(past_option(until, now, "--to"))
    async with session.control() as control:
        found = iterate(
            control.audit.ListAuditEntries, request, lambda page: page.audit_entries, limit=limit or None
        )
        await show_list(found, FIELDS, session.output)
