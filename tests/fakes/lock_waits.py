"""Two transactions on PostgreSQL that meet: brought to where both wait, and told how they ended."""

import asyncio
from collections.abc import Awaitable, Collection
from functools import partial

from sqlalchemy import ColumnElement, text
from sqlmodel import SQLModel, select

from clients.control.errors import ControlError, translated
from controlplane.model.database import Database, DatabaseUnavailable
from tests.fakes.waiting import until

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
# Seconds that something may take until it waits, or is over.
_PATIENCE = 30.0


async def meet(
    database: Database,
    between: tuple[type[SQLModel], ColumnElement[bool]],
    *works: Awaitable[object],
) -> list[str]:
    """Has each wait for a row that lies in the middle of what they lock, or end; gives how all ended then."""
    async with database.write() as session:
        table, which = between
        await session.exec(select(table).where(which).with_for_update())
        tasks = [asyncio.create_task(ends(work)) for work in works]
        await until(partial(_wait_or_ended, database, tasks), _PATIENCE)
    return await asyncio.gather(*tasks)


async def _wait_or_ended(database: Database, tasks: Collection[asyncio.Task[str]]) -> bool:
    ended = sum(task.done() for task in tasks)
    return await waiting(database) >= len(tasks) - ended


async def waiting(database: Database) -> int:
    """Tells how many transactions of the server wait for locks."""
    async with database.read() as session:
        found = await session.exec(text(_WAITING))
        return int(found.scalar_one())


async def ends(work: Awaitable[object]) -> str:
    """Tells how it was refused, if it was."""
    try:
        with translated():
            await work
    except ControlError as error:
        return error.reason
    except DatabaseUnavailable as error:
        return repr(error.__cause__)
    return ""
