"""`penstock pulls top` and `sum`: how many pulls, by time and by what they have."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

import typer

from clients.cli.command import command
from clients.cli.output import NONE, Field, moment, show_list
from clients.cli.pull_filter import PullOptions, with_pull_options
from clients.cli.session import Session
from clients.cli.users import OrganizationArgument
from clients.control import names
from clients.control.paging import iterate
from penstock.v1 import pull_pb2 as pb


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

Groups = Annotated[
    list[By] | None, typer.Option("--by", help="What to tell apart; may be given more than once.")
]
Distinct = Annotated[bool, typer.Option("--distinct", help="Count users and customers, each once.")]


def add(app: typer.Typer) -> None:
    """Add the two commands."""
    command(
        app,
        "top",
        "penstock pulls top acme --by artifact --from 30d",
        "penstock pulls top acme --by customer --artifact redis --versions 1.1.x",
    )(top)
    command(
        app,
        "sum",
        "penstock pulls sum acme --per day --from 30d",
        "penstock pulls sum acme --per week --by customer --artifact redis --output json",
    )(total)


@with_pull_options
async def top(
    session: Session,
    organization: OrganizationArgument,
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


@with_pull_options
async def total(
    session: Session,
    organization: OrganizationArgument,
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
