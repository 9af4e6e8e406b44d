"""`penstock pulls`."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import typer

from clients.cli.command import application, command
from clients.cli.failure import Failure
from clients.cli.output import NONE, Field, Format, moment, show_list
from clients.cli.pull_export import FileFormat, save
from clients.cli.pull_filter import PullOptions, with_pull_options
from clients.cli.session import Session
from clients.control import names
from clients.control.names import ArtifactPath
from clients.control.paging import iterate
from clients.process.exits import Exit
from penstock.v1 import pull_pb2 as pb

app = application("pulls", "Who pulled what.")

Organization = Annotated[str, typer.Argument(metavar="ORGANIZATION", help="Like acme.", show_default=False)]

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


class By(StrEnum):
    """What `--by` takes."""

    ARTIFACT = "artifact"
    VERSION = "version"
    DIGEST = "digest"
    CUSTOMER = "customer"
    USER = "user"
    TOKEN = "token"  # noqa: S105 - a word for users
    ADDRESS = "address"
    CLIENT = "client"
    PLATFORM = "platform"


class Per(StrEnum):
    """What `--per` takes."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"


_Sums = pb.SumPullsRequest
_DIMENSIONS: Final = {
    By.ARTIFACT: _Sums.ARTIFACT,
    By.VERSION: _Sums.TAG,
    By.DIGEST: _Sums.DIGEST,
    By.CUSTOMER: _Sums.CUSTOMER,
    By.USER: _Sums.USER,
    By.TOKEN: _Sums.TOKEN,
    By.ADDRESS: _Sums.ADDRESS,
    By.CLIENT: _Sums.CLIENT,
    By.PLATFORM: _Sums.PLATFORM,
}
_GROUPS: Final[dict[By, Field[pb.PullSum]]] = {
    By.ARTIFACT: Field("artifact", lambda it: names.last(it.artifact).replace("~", "/")),
    By.VERSION: Field("version", lambda it: it.tag or NONE),
    By.DIGEST: Field("digest", lambda it: it.digest),
    By.CUSTOMER: Field("customer", lambda it: names.last(it.customer) or NONE),
    By.USER: Field("user", lambda it: it.user or NONE),
    By.TOKEN: Field("token", lambda it: it.token_uid),
    By.ADDRESS: Field("address", lambda it: it.address),
    By.CLIENT: Field("client", lambda it: it.client or NONE),
    By.PLATFORM: Field("platform", lambda it: it.platform or NONE),
}
_SUMS: Final[tuple[Field[pb.PullSum], ...]] = (
    Field("pulls", lambda it: str(it.pulls)),
    Field("cold", lambda it: str(it.cold_pulls)),
    Field("checks", lambda it: str(it.checks)),
    Field("bytes", lambda it: str(it.bytes_sent)),
    Field("redirected", lambda it: str(it.bytes_redirected)),
    Field("last", lambda it: moment(it, "last_time")),
)
_DISTINCT: Final[tuple[Field[pb.PullSum], ...]] = (
    Field("users", lambda it: str(it.distinct_users)),
    Field("customers", lambda it: str(it.distinct_customers)),
)
HOLDER_FIELDS: tuple[Field[pb.VersionHolder], ...] = (
    Field("customer", lambda it: names.last(it.customer) or NONE),
    Field("version", lambda it: it.tag),
    Field("last pull", lambda it: moment(it, "last_time")),
)

Groups = Annotated[
    list[By] | None, typer.Option("--by", help="What to tell apart; may be given more than once.")
]
Distinct = Annotated[bool, typer.Option("--distinct", help="Count users and customers, each once.")]


@command(
    app,
    "list",
    "penstock pulls list acme --from 7d --customer globex",
    "penstock pulls list acme --artifact redis --tag 7 --output json",
)
@with_pull_options
async def list_all(
    session: Session,
    organization: Organization,
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
    "top",
    "penstock pulls top acme --by artifact --from 30d",
    "penstock pulls top acme --by customer --artifact redis --versions 1.1.x",
)
@with_pull_options
async def top(
    session: Session,
    organization: Organization,
    by: Groups = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 10,
    distinct: Distinct = False,
    *,
    chosen: PullOptions,
) -> None:
    """List what was pulled most, or who pulled most.

    Artifacts, unless --by says otherwise; of the last thirty days, unless --from does.
    """
    await _show_sums(session, organization, by or [By.ARTIFACT], None, distinct, chosen, limit)


@command(
    app,
    "sum",
    "penstock pulls sum acme --per day --from 30d",
    "penstock pulls sum acme --per week --by customer --artifact redis --output json",
)
@with_pull_options
async def total(
    session: Session,
    organization: Organization,
    by: Groups = None,
    per: Annotated[Per | None, typer.Option(help="A sum for each of these, by UTC.")] = None,
    distinct: Distinct = False,
    *,
    chosen: PullOptions,
) -> None:
    """Sum pulls by time and by what they have.

    Of the last thirty days, unless --from says otherwise, and of whole days, or hours with --per hour.
    """
    await _show_sums(session, organization, by or [], per, distinct, chosen, None)


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
    organization: Organization,
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


async def _show_sums(
    session: Session,
    organization: str,
    by: list[By],
    per: Per | None,
    distinct: bool,
    chosen: PullOptions,
    limit: int | None,
) -> None:
    request = pb.SumPullsRequest(
        parent=names.organization(organization),
        filter=chosen.filter(organization, datetime.now(UTC)),
        period=_Sums.Period.Value(per.upper()) if per else _Sums.PERIOD_UNSPECIFIED,
        group_by=[_DIMENSIONS[each] for each in by],
        distinct=distinct,
    )
    start: tuple[Field[pb.PullSum], ...] = (
        (Field(per.value, lambda it: moment(it, "start_time")),) if per else ()
    )
    fields = (*start, *(_GROUPS[each] for each in by), *_SUMS, *(_DISTINCT if distinct else ()))
    async with session.control() as control:
        found = iterate(control.pulls.SumPulls, request, lambda page: page.sums, limit=limit)
        await show_list(found, fields, session.output)


def _short(digest: str) -> str:
    return digest[:19] or NONE
