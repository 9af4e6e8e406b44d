"""Sums of pulls by time and by what they have, from the smallest series that can tell."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Subquery, case, func, literal, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.analytics.choice import Chosen
from controlplane.analytics.sums import DIMENSIONS, LENGTH, SHAPES
from controlplane.analytics.times import DAY, HOUR
from controlplane.model.pull_tables import NOTHING, Grain, PullRecord, PullSum, Shape
from penstock.v1.pull_pb2 import PullEvent

_DAYS_A_WEEK: Final = 7
# The first of 1970 was a Thursday.
_DAYS_SINCE_MONDAY: Final = 3
_ADDED: Final = ("count", "cold", "bytes_sent", "bytes_redirected")
_Day = TypeVar("_Day", int, ColumnElement[Any])
_COUNTED: Final = ("user_id", "customer_id")


class Period(Enum):
    """What sums are divided by; the value is what their times are whole numbers of."""

    ALL = Grain.DAY, "all"
    HOUR = Grain.HOUR, "hour"
    DAY = Grain.DAY, "day"
    WEEK = Grain.DAY, "week"

    @property
    def grain(self) -> Grain:
        """Which series tells it."""
        return self.value[0]


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be summed; `chosen` must have a start and an end."""

    chosen: Chosen
    period: Period
    # Columns, each combination of which has a sum.
    by: tuple[str, ...]
    # Whether users and customers are counted, each once.
    distinct: bool

    @property
    def start(self) -> int:
        """From when on pulls count, in milliseconds since 1970: the beginning of an hour or day."""
        length = LENGTH[self.period.grain]
        return (self.chosen.start or 0) // length * length

    @property
    def end(self) -> int:
        """Until when they do: the end of an hour or day."""
        length = LENGTH[self.period.grain]
        return -(-(self.chosen.end or 0) // length) * length

    @property
    def shape(self) -> Shape | None:
        """The series to sum; None where only the events themselves can tell."""
        needed = {*self.by, *self.chosen.numbers, *(_COUNTED if self.distinct else ())}
        if self.chosen.cold is not None:
            return None
        told = (shape for shape in SHAPES[self.period.grain] if needed <= {*DIMENSIONS[shape]})
        return next(told, None)


async def answer(session: AsyncSession, question: Question, *, offset: int, limit: int) -> Sequence[Any]:
    """Give sums, oldest period first and most pulls first in each.

    A row has `bucket` (hours, or days, since 1970; None without periods), the columns of `by`, `pulls`,
    `cold_pulls`, `checks`, `bytes_sent`, `bytes_redirected`, `last_time`, `users` and `customers`.
    """
    if question.chosen.is_empty:
        return ()
    source = _events(question) if question.shape is None else _series(session, question, question.shape)
    if question.distinct:
        source = _each_once(question, source)
    bucket = _bucket(question.period, source.c.bucket)
    dimensions = [source.c[name] for name in question.by]
    is_pull = source.c.kind == PullEvent.PULL
    pulls = func.sum(case((is_pull, source.c["count"]), else_=0)).label("pulls")
    statement = (
        select(
            bucket.label("bucket"),
            *dimensions,
            pulls,
            func.sum(case((is_pull, source.c.cold), else_=0)).label("cold_pulls"),
            func.sum(case((is_pull, 0), else_=source.c["count"])).label("checks"),
            func.sum(source.c.bytes_sent).label("bytes_sent"),
            func.sum(source.c.bytes_redirected).label("bytes_redirected"),
            func.max(source.c.last_time).label("last_time"),
            _distinct(source, "user_id", question.distinct).label("users"),
            _distinct(source, "customer_id", question.distinct).label("customers"),
        )
        .group_by(*([] if question.period is Period.ALL else [bucket]), *dimensions)
        .having(func.sum(source.c["count"]) > 0)
        .order_by(*([] if question.period is Period.ALL else [bucket]), pulls.desc(), *dimensions)
        .offset(offset)
        .limit(limit)
    )
    return (await (await session.connection()).execute(statement)).all()


def start_of(period: Period, bucket: int) -> int:
    """Give when a bucket of an answer begins, in milliseconds since 1970."""
    return bucket * (HOUR if period is Period.HOUR else DAY)


def begin_of(period: Period, at: int) -> int:
    """Give when the period of a time begins, both in milliseconds since 1970."""
    if period is Period.WEEK:
        return _week(at // DAY) * DAY
    length = LENGTH[period.grain]
    return at // length * length


def _bucket(period: Period, bucket: ColumnElement[Any]) -> ColumnElement[Any]:
    match period:
        case Period.ALL:
            return literal(None)
        case Period.WEEK:
            return _week(bucket)
        case _:
            return bucket


def _week(day: _Day) -> _Day:
    return (day + _DAYS_SINCE_MONDAY) // _DAYS_A_WEEK * _DAYS_A_WEEK - _DAYS_SINCE_MONDAY


def _distinct(source: Subquery, column: str, wanted: bool) -> ColumnElement[Any]:
    if not wanted:
        return literal(0)
    # Of nobody in particular is nobody.
    return func.count(func.nullif(source.c[column], NOTHING).distinct())


def _each_once(question: Question, source: Subquery) -> Subquery:
    """Add up what each user has in each sum, so that few rows are left to count users among."""
    bucket = _bucket(question.period, source.c.bucket)
    same = [source.c[name] for name in dict.fromkeys((*question.by, *_COUNTED))]
    return (
        select(
            bucket.label("bucket"),
            *same,
            source.c.kind,
            *(func.sum(source.c[name]).label(name) for name in _ADDED),
            func.max(source.c.last_time).label("last_time"),
        )
        .group_by(*([] if question.period is Period.ALL else [bucket]), *same, source.c.kind)
        .subquery()
    )


def _series(session: AsyncSession, question: Question, shape: Shape) -> Subquery:
    length = LENGTH[question.period.grain]
    columns: Any = PullSum
    statement = select(*columns.__table__.c).where(
        columns.grain == question.period.grain,
        columns.shape == shape,
        columns.bucket >= question.start // length,
        columns.bucket < question.end // length,
        *question.chosen.conditions(columns),
    )
    if session.get_bind().dialect.name == "postgresql":
        # Planned by itself: PostgreSQL would rather read all days in the order of an index, than sort sums.
        statement = statement.offset(0)
    return statement.subquery()


def _events(question: Question) -> Subquery:
    length = LENGTH[question.period.grain]
    columns: Any = PullRecord
    cold = case((col(PullRecord.cold_blobs) > 0, 1), else_=0)
    conditions = [*question.chosen.conditions(columns), columns.time >= question.start]
    conditions.append(columns.time < question.end)
    if question.chosen.cold is not None:
        conditions.append(cold == int(question.chosen.cold))
    needed: Collection[str] = {*question.by, *_COUNTED}
    return (
        select(
            (columns.time // length).label("bucket"),
            columns.kind,
            literal(1).label("count"),
            cold.label("cold"),
            columns.bytes_sent,
            columns.bytes_redirected,
            columns.time.label("last_time"),
            *(getattr(columns, name) for name in sorted(needed)),
        )
        .where(*conditions)
        .subquery()
    )
