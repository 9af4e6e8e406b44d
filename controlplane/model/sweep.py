"""How far the clock is believed when it says what is too old to be kept: pulls, tag history, jobs and more.

A clock that is wrong would have all of it deleted at once, and nothing brings it back; what is deleted late
harms nobody. So a clock is believed up to a week beyond the last look, which is noted in the database. Beyond
that it may be wrong, or nothing ran for so long, and nobody can tell. Then a look, of which each replica
makes one an hour, goes two hours beyond the one before: a wrong clock takes an hour of the oldest for each
hour that it runs, and a pause that was real is made up for in as long again.

A clock that was set back has nothing deleted that is not old by it. What was noted follows two hours a look
as well, and nothing is noted of a clock from before Penstock: a machine that starts in 1970 and is corrected
a moment later would have decades to make up for.

What was recorded meanwhile does not count: it may be timed by the same clock.
"""

import logging
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.model.tables import Singleton

_LOG = logging.getLogger(__name__)

_BELIEVED: Final = timedelta(days=7)
_STEP: Final = timedelta(hours=2)
# A clock from before there was anything to delete knows no time yet, and is not noted.
_FIRST: Final = datetime(2026, 1, 1, tzinfo=UTC)


async def time(session: AsyncSession, now: datetime) -> datetime:
    """Give what time it is for whoever deletes what is too old, or refuses it."""
    noted = await _noted(session)
    return now if noted is None or now - noted <= _BELIEVED else noted


async def look(session: AsyncSession, now: datetime) -> datetime:
    """Give what `time` does, a step later where the clock is not believed, and note it; called hourly."""
    if now < _FIRST:
        return now
    noted = await _noted(session)
    believed = await time(session, now)
    if believed < now:
        believed += _STEP
        _LOG.warning(
            "What is too old is deleted as on %s, and not as on %s, which is long after the last look for it."
            " If the clock is wrong, correct it: two hours more are believed each hour.",
            f"{believed:%Y-%m-%d}",
            f"{now:%Y-%m-%d}",
        )
    kept = believed if noted is None else max(believed, noted - _STEP)
    await session.exec(update(Singleton).values({col(Singleton.pulls_swept_time): kept}))
    return believed


async def _noted(session: AsyncSession) -> datetime | None:
    return (await session.exec(select(Singleton.pulls_swept_time))).one()
