"""The months that PostgreSQL keeps events in, each a table of its own: made ahead, and dropped whole."""

import re
from collections.abc import Iterable
from typing import Final

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.analytics.times import Month

_NAME: Final = re.compile(r"pull_event_(\d{4})_(\d{2})", re.ASCII)
_LOCK: Final = 0x70756C6C
_PARTITIONS: Final = text(
    "SELECT child.relname FROM pg_inherits"
    " JOIN pg_class AS child ON child.oid = inhrelid"
    " WHERE inhparent = 'pull_event'::regclass"
)


async def hurry(session: AsyncSession) -> None:
    """Give up after a second in this transaction: who waits for months has all others wait behind it.

    They are made and dropped while nobody reads any, and a backup reads for hours. DatabaseUnavailable then.
    """
    await (await session.connection()).execute(text("SET LOCAL lock_timeout = '1s'"))


async def months(session: AsyncSession) -> list[Month]:
    """Give the months that there are tables for, oldest first."""
    names = (await session.connection()).execute(_PARTITIONS)
    found = (_NAME.fullmatch(name) for (name,) in await names)
    return sorted(Month(int(match[1]), int(match[2])) for match in found if match)


async def make(session: AsyncSession, wanted: Iterable[Month]) -> None:
    """Make the tables of these months where they are missing."""
    connection = await session.connection()
    # Replicas that make the same one at once would fail, IF NOT EXISTS or not.
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    for month in sorted(set(wanted) - set(await months(session))):
        await connection.execute(
            text(
                f"CREATE TABLE pull_event_{month} PARTITION OF pull_event"
                f" FOR VALUES FROM ({month.start}) TO ({month.next.start})"
            )
        )


async def drop(session: AsyncSession, before: int) -> list[Month]:
    """Drop the months that ended before a time, in milliseconds since 1970, and give them."""
    ended = [month for month in await months(session) if month.next.start <= before]
    connection = await session.connection()
    for month in ended:
        await connection.execute(text(f"DROP TABLE IF EXISTS pull_event_{month}"))
    return ended
