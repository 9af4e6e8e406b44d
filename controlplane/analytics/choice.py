"""Which pulls are asked for: first as people name them, then as the numbers in the tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

from sqlalchemy import ColumnElement, func, select
from sqlmodel import col
from sqlmodel import select as select_one
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.version import Version, VersionRange
from controlplane.analytics.times import DAY
from controlplane.model.pull_tables import NOTHING, Grain, NameKind, PullName, PullSum, Shape

COLUMNS: Final[Mapping[NameKind, str]] = {
    NameKind.ARTIFACT: "artifact_id",
    NameKind.TAG: "tag_id",
    NameKind.DIGEST: "digest_id",
    NameKind.CUSTOMER: "customer_id",
    NameKind.USER: "user_id",
    NameKind.TOKEN: "token_id",
    NameKind.ADDRESS: "address_id",
    NameKind.CLIENT: "client_id",
    NameKind.PLATFORM: "platform_id",
}
"""Where the tables have the number of each."""
ANY_ENDING: Final = "*"
# Tags or clients that one filter may stand for.
_MOST: Final = 5000


class TooMany(ValueError):
    """A filter stands for more names than one statement takes; `str()` is a sentence."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Pulls that agree with all that is given here; times are milliseconds since 1970."""

    start: int | None = None
    # Before this.
    end: int | None = None
    # Uid or name of each; that of a client may end in ANY_ENDING.
    names: Mapping[NameKind, str] = field(default_factory=dict)
    versions: VersionRange | None = None
    kind: int | None = None
    cold: bool | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice by numbers: for each column, those that it may be."""

    organization_id: int
    start: int | None
    end: int | None
    numbers: Mapping[str, tuple[int, ...]]
    kind: int | None
    cold: bool | None

    @property
    def is_empty(self) -> bool:
        """Whether it names something that no pull has."""
        return not all(self.numbers.values())

    def within(self, kind: NameKind, only: int | None) -> Self:
        """Give what of it has this number; None is one that no pull has."""
        column = COLUMNS[kind]
        numbers = (only,) if only is not None and only in self.numbers.get(column, (only,)) else ()
        return replace(self, numbers={**self.numbers, column: numbers})

    def conditions(self, columns: Any) -> Iterable[ColumnElement[bool]]:
        """Give what rows of a table must agree with, but for times and `cold`."""
        yield columns.organization_id == self.organization_id
        for name, numbers in self.numbers.items():
            column = getattr(columns, name)
            yield column == numbers[0] if len(numbers) == 1 else column.in_(numbers)
        if self.kind is not None:
            yield columns.kind == self.kind


async def resolve(session: AsyncSession, organization_id: int, choice: Choice) -> Chosen:
    """Look up the numbers of what a choice names; raises TooMany."""
    numbers = {
        COLUMNS[kind]: await _named(session, organization_id, kind, text)
        for kind, text in choice.names.items()
    }
    if choice.versions is not None:
        tags = await _versions(session, organization_id, choice, numbers.get("artifact_id"))
        given = numbers.get("tag_id")
        numbers["tag_id"] = tags if given is None else tuple(sorted({*tags} & {*given}))
    return Chosen(organization_id, choice.start, choice.end, numbers, choice.kind, choice.cold)


async def number_of(session: AsyncSession, organization_id: int, kind: NameKind, uid: str) -> int | None:
    """Give the number of something by its uid; None where no pull has it."""
    found = await session.exec(
        select_one(PullName.id).where(
            PullName.organization_id == organization_id, PullName.kind == kind, PullName.uid == uid
        )
    )
    return found.one_or_none()


async def _named(session: AsyncSession, organization_id: int, kind: NameKind, text: str) -> tuple[int, ...]:
    name = col(PullName.name)
    is_it: ColumnElement[bool] = (name == text) | (col(PullName.uid) == text)
    if kind is NameKind.CLIENT and text.endswith(ANY_ENDING):
        beginning = text.removesuffix(ANY_ENDING)
        # Not LIKE, which SQLite takes for the same in large and small letters.
        is_it = func.substr(name, 1, len(beginning)) == beginning
    statement = select(col(PullName.id)).where(
        col(PullName.organization_id) == organization_id, col(PullName.kind) == kind, is_it
    )
    rows = await (await session.connection()).execute(statement.order_by(col(PullName.id)).limit(_MOST + 1))
    return _bounded([number or NOTHING for (number,) in rows], text)


async def _versions(
    session: AsyncSession, organization_id: int, choice: Choice, artifacts: tuple[int, ...] | None
) -> tuple[int, ...]:
    versions = choice.versions
    if versions is None:
        return ()
    pulled = (
        select(col(PullSum.tag_id))
        .distinct()
        .where(
            col(PullSum.organization_id) == organization_id,
            col(PullSum.grain) == Grain.DAY,
            col(PullSum.shape) == Shape.TAG,
            col(PullSum.tag_id) != NOTHING,
        )
    )
    if artifacts is not None:
        pulled = pulled.where(col(PullSum.artifact_id).in_(artifacts))
    if choice.start is not None:
        pulled = pulled.where(col(PullSum.bucket) >= choice.start // DAY)
    names = select(col(PullName.id), col(PullName.name)).where(col(PullName.id).in_(pulled))
    found = []
    for number, tag in await (await session.connection()).execute(names):
        version = Version.parse(tag)
        if version is not None and versions.contains(version):
            found.append(number or NOTHING)
    return _bounded(sorted(found), versions.text)


def _bounded(numbers: list[int], text: str) -> tuple[int, ...]:
    if len(numbers) > _MOST:
        raise TooMany(f"{text!r} stands for more than {_MOST}: narrow it down.")
    return tuple(numbers)
