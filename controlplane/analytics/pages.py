"""Pages of sums, which are read no further than they show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.analytics import summing
from controlplane.analytics.names import Names
from controlplane.analytics.summing import Period, Question, begin_of, start_of
from controlplane.analytics.times import DAY, HOUR

_LENGTH: Final = {Period.HOUR: HOUR, Period.DAY: DAY, Period.WEEK: 7 * DAY}
_MOST: Final = 1 << 31


@dataclass(frozen=True, slots=True)
class Shown:
    """What pages before have shown: so many sums of a period, and all of those before it."""

    # None without periods, and of the first page.
    bucket: int | None = None
    count: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str()` gave; raises ValueError."""
        bucket, _, count = text.partition(":")
        shown = cls(int(bucket) if bucket else None, int(count))
        if not (0 <= shown.count < _MOST and abs(shown.bucket or 0) < _MOST):
            raise ValueError("is out of range.")
        return shown

    def __str__(self) -> str:
        return f"{'' if self.bucket is None else self.bucket}:{self.count}"

    def and_these(self, rows: Sequence[Any]) -> "Shown":
        """Give what is shown with the next page, of at least one row."""
        last = rows[-1].bucket
        count = sum(row.bucket == last for row in rows)
        return Shown(last, count + self.count if last == self.bucket else count)


async def page(
    session: AsyncSession, question: Question, names: Names, shown: Shown, *, limit: int
) -> Sequence[Any]:
    """Give at most so many sums behind those that were shown, and learn the names that they have.

    Rows are those of `summing.answer`.
    """
    rows: list[Any] = []
    offset = shown.count
    for part in _parts(question, shown.bucket):
        rows += await summing.answer(session, part, offset=offset, limit=limit - len(rows))
        if len(rows) == limit:
            break
        offset = 0
    await names.learn(session, {getattr(row, column) for row in rows for column in question.by})
    return rows


def _parts(question: Question, bucket: int | None) -> Iterator[Question]:
    """Divide a question by time, from a bucket on: one period, then two, four ...

    A page shows addresses of a day, or of an hour; to sort those of all days for that takes a hundred times
    as long. What has one sum in each period is asked for in one.
    """
    start, end = question.start, question.end
    if bucket is not None:
        start = max(start, start_of(question.period, bucket))
    length = _LENGTH.get(question.period)
    if length is None or not question.by:
        yield _between(question, start, end)
        return
    count = 1
    while start < end:
        stop = min(begin_of(question.period, start) + count * length, end)
        yield _between(question, start, stop)
        start, count = stop, 2 * count


def _between(question: Question, start: int, end: int) -> Question:
    return replace(question, chosen=replace(question.chosen, start=start, end=end))
