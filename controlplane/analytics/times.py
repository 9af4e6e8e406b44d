"""Times of pulls: milliseconds, hours, days and months since 1970, all UTC."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

HOUR: Final = 3_600_000
"""Milliseconds."""
DAY: Final = 24 * HOUR
"""Milliseconds."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_FIRST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
_MONTHS_A_YEAR: Final = 12


def milliseconds(moment: datetime) -> int:
    """Give a moment in milliseconds since 1970, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(since_1970: int) -> datetime:
    """Give the moment so many milliseconds after 1970, or else the first or last that there is a name for."""
    return _EPOCH + min(max(since_1970, _FIRST), _LAST) * _MILLISECOND


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month of the calendar."""

    year: int
    month: int

    @classmethod
    def of(cls, since_1970: int) -> Self:
        """Give the month of a time in milliseconds."""
        at = moment(since_1970)
        return cls(at.year, at.month)

    @property
    def next(self) -> "Month":
        """The month after it."""
        years, month = divmod(self.month, _MONTHS_A_YEAR)
        return Month(self.year + years, month + 1)

    @property
    def start(self) -> int:
        """Its first moment, in milliseconds since 1970."""
        return milliseconds(datetime(self.year, self.month, 1, tzinfo=UTC))

    def until(self, last: "Month") -> Iterator["Month"]:
        """Give it and those that follow, `last` included."""
        month = self
        while month <= last:
            yield month
            month = month.next

    def __str__(self) -> str:
        return f"{self.year:04}_{self.month:02}"
