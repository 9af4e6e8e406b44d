"""Single pulls, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, func, select, tuple_
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.analytics.choice import Chosen
from controlplane.analytics.names import Names
from controlplane.model.pull_tables import PullRecord

_TABLE: Final[Any] = PullRecord
# In milliseconds, as databases hold it.
_LATEST: Final = 2**63 - 1
_NUMBERED: Final = (
    "artifact_id",
    "tag_id",
    "digest_id",
    "platform_id",
    "platform_digest_id",
    "customer_id",
    "user_id",
    "token_id",
    "address_id",
    "client_id",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the order of pulls one stands."""

    time: int
    event_id: bytes

    @classmethod
    def of(cls, row: Any) -> "Place":
        """Give the place of a pull."""
        return cls(row.time, row.event_id)

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read what `str()` gave; raises ValueError."""
        time, _, event_id = text.partition(":")
        place = cls(int(time), bytes.fromhex(event_id))
        if not 0 <= place.time <= _LATEST:
            raise ValueError("is no time")
        return place

    def __str__(self) -> str:
        return f"{self.time}:{self.event_id.hex()}"


async def page(
    session: AsyncSession, chosen: Chosen, names: Names, *, after: Place | None, limit: int
) -> Sequence[Row[Any]]:
    """Give at most `limit` pulls that come after a place, and learn the names that they have."""
    if chosen.is_empty:
        return ()
    statement = select(*_TABLE.__table__.c).where(*_within(chosen))
    if after is not None:
        # The first of the two lets an index find the place that the second one says exactly.
        statement = statement.where(
            _TABLE.time <= after.time,
            tuple_(_TABLE.time, _TABLE.event_id) < tuple_(after.time, after.event_id),
        )
    statement = statement.order_by(_TABLE.time.desc(), _TABLE.event_id.desc()).limit(limit)
    rows = (await (await session.connection()).execute(statement)).all()
    await names.learn(session, {getattr(row, column) for row in rows for column in _NUMBERED})
    return rows


async def extent(session: AsyncSession, chosen: Chosen) -> tuple[int, int]:
    """Give how many pulls there are, and when the newest was; 0 without any."""
    if chosen.is_empty:
        return 0, 0
    statement = select(func.count(), func.max(_TABLE.time)).where(*_within(chosen))
    total, newest = (await (await session.connection()).execute(statement)).one()
    return total, newest or 0


def _within(chosen: Chosen) -> list[Any]:
    conditions = list(chosen.conditions(_TABLE))
    if chosen.start is not None:
        conditions.append(_TABLE.time >= chosen.start)
    if chosen.end is not None:
        conditions.append(_TABLE.time < chosen.end)
    if chosen.cold is not None:
        cold = col(PullRecord.cold_blobs)
        conditions.append(cold > 0 if chosen.cold else cold == 0)
    return conditions
