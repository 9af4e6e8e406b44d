"""Options that choose pulls, the same for every command about them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from clients.cli.when import past_option
from clients.control import names
from penstock.v1 import pull_pb2 as pb


class Kind(StrEnum):
    """What `--kind` takes."""

    PULL = "pull"
    CHECK = "check"


class Temperature(StrEnum):
    """What `--temperature` takes."""

    WARM = "warm"
    COLD = "cold"


_KINDS: Final = {
    None: pb.PullEvent.KIND_UNSPECIFIED,
    Kind.PULL: pb.PullEvent.PULL,
    Kind.CHECK: pb.PullEvent.CHECK,
}
_TEMPERATURES: Final = {
    None: pb.TEMPERATURE_UNSPECIFIED,
    Temperature.WARM: pb.WARM,
    Temperature.COLD: pb.COLD,
}


@dataclass(frozen=True, slots=True)
class PullOptions:
    """Which pulls a command is about; the annotations are its options."""

    since: Annotated[
        str | None,
        typer.Option("--from", help="From when on: 2030-01-31 (by UTC), a time, or 7d for so long ago."),
    ] = None
    until: Annotated[str | None, typer.Option("--to", help="Before when, likewise.")] = None
    artifact: Annotated[str | None, typer.Option(help="Only this one, like acme/redis or redis.")] = None
    tag: Annotated[str | None, typer.Option(help="Only this tag.")] = None
    versions: Annotated[
        str | None, typer.Option(help="Only tags that are versions of a range, like '>=1.1 <2' or 1.1.x.")
    ] = None
    digest: Annotated[str | None, typer.Option(help="Only what has this digest.")] = None
    customer: Annotated[str | None, typer.Option(help="Only this customer, like globex.")] = None
    user: Annotated[str | None, typer.Option(help="Only this user, by e-mail address or id.")] = None
    token: Annotated[str | None, typer.Option(help="Only the token with this id.")] = None
    address: Annotated[str | None, typer.Option(help="Only from this IP address.")] = None
    client: Annotated[
        str | None, typer.Option(help="Only this User-Agent, or its beginning, like 'docker/*'.")
    ] = None
    kind: Annotated[Kind | None, typer.Option(help="Only pulls, or only looks for something new.")] = None
    temperature: Annotated[
        Temperature | None, typer.Option(help="Only what the cache had, or only what it had not.")
    ] = None

    def filter(self, organization: str, now: datetime) -> pb.PullFilter:
        """Give what the API takes; raises Failure and InvalidName."""
        parent = names.organization(organization)
        chosen = pb.PullFilter(
            tag=self.tag or "",
            version_range=self.versions or "",
            digest=self.digest or "",
            token_uid=self.token or "",
            address=self.address or "",
            client=self.client or "",
            kind=_KINDS[self.kind],
            temperature=_TEMPERATURES[self.temperature],
        )
        if self.artifact:
            chosen.artifact = names.artifact(organization, self.artifact)
        if self.customer:
            customer = self.customer.removeprefix(f"{names.last(parent)}/")
            chosen.customer = names.customer(organization, customer)
        if self.user:
            chosen.user = names.user(organization, self.user)
        if self.since:
            chosen.start_time.FromDatetime(past_option(self.since, now, "--from"))
        if self.until:
            chosen.end_time.FromDatetime(past_option(self.until, now, "--to"))
        return chosen


_OPTIONS: Final = tuple(inspect.signature(PullOptions, eval_str=True).parameters.values())


def with_pull_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command's last parameter, `chosen`, as the options of PullOptions."""

    async def call(*arguments: Any, **given: Any) -> Any:
        options = {option.name: given.pop(option.name) for option in _OPTIONS}
        return await function(*arguments, **given, chosen=PullOptions(**options))

    own = [
        parameter
        for parameter in inspect.signature(function, eval_str=True).parameters.values()
        if parameter.name != "chosen"
    ]
    keywords = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in _OPTIONS]
    call.__signature__ = inspect.Signature([*own, *keywords])  # type: ignore[attr-defined]  # any function has one
    call.__doc__ = function.__doc__
    return call
