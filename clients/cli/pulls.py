"""`penstock pulls`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from clients.cli import pull_sums
from clients.cli.command import application, command
from clients.cli.failure import Failure
from clients.cli.output import NONE, Field, Format, moment, show_list
from clients.cli.pull_export import FileFormat, save
from clients.cli.pull_filter import PullOptions, with_pull_options
from clients.cli.session import Session
from clients.cli.users import OrganizationArgument
from clients.control import names
from clients.control.names import ArtifactPath
from clients.control.paging import iterate
from clients.process.exits import Exit
from penstock.v1 import pull_pb2 as pb

app = application("pulls", "Who pulled what.")

FIELDS: tuple[Field[pb.Pull], ...] = (
    Field("time", lambda it: moment(it, "time")),
    Field("kind", lambda it: pb.PullEvent.Kind.Name(it.kind).lower()),
    Field("artifact", lambda it: names.last(it.artifact).replace("~", "/")),
    Field("version", lambda it: it.tag or _short(it.digest)),
    Field("platform", lambda it: it.platform or NONE),
    Field("customer", lambda it: names.last(it.customer) or NONE),
    Field("user", lambda it: it.user or NONE),
    Field("address", lambda it: it.address),
    Field("client", lambda it: it.client.split(" ", 1)[0]),
    Field("bytes", lambda it: str(it.bytes_sent)),
    Field("redirected", lambda it: str(it.bytes_redirected)),
    Field("served", lambda it: "cold" if it.cold_blobs else "warm"),
)


HOLDER_FIELDS: tuple[Field[pb.VersionHolder], ...] = (
    Field("customer", lambda it: names.last(it.customer) or NONE),
    Field("version", lambda it: it.tag),
    Field("last pull", lambda it: moment(it, "last_time")),
)


@command(
    app,
    "list",
    "penstock pulls list acme --from 7d --customer globex",
    "penstock pulls list acme --artifact redis --tag 7 --output json",
)
@with_pull_options
async def list_all(
    session: Session,
    organization: OrganizationArgument,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 for all.")] = 0,
    *,
    chosen: PullOptions,
) -> None:
    """List pulls, newest first."""
    request = pb.ListPullsRequest(
        parent=names.organization(organization), filter=chosen.filter(organization, datetime.now(UTC))
    )
    async with session.control() as control:
        found = iterate(control.pulls.ListPulls, request, lambda page: page.pulls, limit=limit or None)
        await show_list(found, FIELDS, session.output)


@command(
    app,
    "versions",
    "penstock pulls versions acme/redis",
    "penstock pulls versions acme/redis --range 1.1.x --output json",
)
async def versions(
    session: Session,
    artifact: Annotated[str, typer.Argument(metavar="ARTIFACT", help="Like acme/redis.", show_default=False)],
    within: Annotated[
        str | None, typer.Option("--range", help="Only who is still on one of these, like 1.1.x.")
    ] = None,
) -> None:
    """List which version each customer pulled last: who is still on which.

    Of customers that pulled it by a tag in the last 90 days.
    """
    request = pb.ListVersionHoldersRequest(
        parent=ArtifactPath.parse(artifact).name, version_range=within or ""
    )
    async with session.control() as control:
        found = iterate(control.pulls.ListVersionHolders, request, lambda page: page.version_holders)
        await show_list(found, HOLDER_FIELDS, session.output)


@command(
    app,
    "export",
    "penstock pulls export acme --from 2030-01-01 --to 2030-02-01 > january.csv",
    "penstock pulls export acme --format jsonl --file pulls.jsonl",
)
@with_pull_options
async def export(
    session: Session,
    organization: OrganizationArgument,
    shape: Annotated[
        FileFormat | None, typer.Option("--format", help="What to write.", show_default="csv")
    ] = None,
    file: Annotated[
        str | None, typer.Option(help="Where to write it, whole or not at all; standard output without it.")
    ] = None,
    *,
    chosen: PullOptions,
) -> None:
    """Write pulls as CSV or JSON Lines, newest first.

    With --file, --output says how to tell what was written; without, standard output has the export alone.
    """
    if session.output is Format.JSON and not (file or shape):
        raise Failure(
            "An export is no JSON document: give --format jsonl for JSON Lines, or --file for a report in"
            " JSON of what was written to it.",
            Exit.USAGE,
        )
    request = pb.ExportPullsRequest(
        parent=names.organization(organization),
        filter=chosen.filter(organization, datetime.now(UTC)),
        format=(shape or FileFormat.CSV).wire,
    )
    async with session.control() as control:
        await save(control, request, file, session.output)


pull_sums.add(app)


def _short(digest: str) -> str:
    return digest[:19] or NONE
