"""How far the clock is believed when it says which pulls are too old to be kept.

A clock that is years ahead would have all of them deleted at once, and nothing brings them back. So one look
goes at most a day beyond what is known to have been: the newest pull, by the clocks of nodes, and the look
before it. A clock that is wrong costs a day of pulls an hour, with a warning each time. What nobody looked at
for a long time, because nothing was pulled or nothing ran, goes a little later: a day of it an hour.
"""

import logging
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.analytics.times import DAY, moment
from controlplane.model.pull_tables import PullName
from controlplane.model.tables import Singleton

_LOG = logging.getLogger(__name__)

_STEP: Final = timedelta(days=1)


async def believed(session: AsyncSession, now: datetime) -> datetime:
    """Give what time a look for old pulls is to go by, and note it for the next one."""
    known = [time for time in await session.exec(select(Singleton.pulls_swept_time)) if time is not None]
    newest = (await session.exec(select(func.max(PullName.last_day)))).one()
    if newest is not None:
        known.append(moment((newest + 1) * DAY))
    furthest = max(known) + _STEP if known else now
    if furthest < now:
        _LOG.warning(
            "Old pulls are deleted as on %s, and not as on %s, which is long after the last pull and the last"
            " look for old ones. If the clock is wrong, correct it: a day more is believed each hour.",
            f"{furthest:%Y-%m-%d}",
            f"{now:%Y-%m-%d}",
        )
    time = min(now, furthest)
    await session.exec(update(Singleton).values({col(Singleton.pulls_swept_time): time}))
    return time


async def next_believed(session: AsyncSession, now: datetime) -> datetime:
    """Give what time the next look is to go by at most; others who delete or refuse by age do the same."""
    noted = (await session.exec(select(Singleton.pulls_swept_time))).one()
    return now if noted is None else min(now, noted + _STEP)
