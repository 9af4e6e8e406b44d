"""Connections to SQLite that are closed when they are told to be, also while they open."""

import asyncio
import sqlite3
from typing import Any
from weakref import WeakSet

import aiosqlite


class SqliteConnection(sqlite3.Connection):
    """Ends what its cursors do when it is closed, whoever still refers to them.

    SQLite closes a file, and gives its locks back, with the last statement of a connection only. A task that
    is cancelled in a transaction leaves a cursor behind in its traceback: as long as anybody keeps that, as a
    log record does, nobody else could write.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cursors: WeakSet[sqlite3.Cursor] = WeakSet()

    def cursor(self, factory: Any = sqlite3.Cursor) -> Any:
        """Give a cursor, as `sqlite3.Connection` does."""
        cursor = super().cursor(factory)
        self._cursors.add(cursor)
        return cursor

    def close(self) -> None:
        """End every statement, roll back what was begun, and close the file."""
        # It may be closed again: a cursor cannot.
        cursors, self._cursors = list(self._cursors), WeakSet()
        for cursor in cursors:
            cursor.close()
        super().close()


async def connect(*arguments: Any, **options: Any) -> aiosqlite.Connection:
    """Open a connection as `aiosqlite.connect` does; whoever is cancelled meanwhile has it closed first.

    Its thread opens the file in any case. Left to itself, that would be open for as long as something refers
    to it, and nobody could wait for its end.
    """
    connection = aiosqlite.connect(*arguments, factory=SqliteConnection, **options)
    # What is not closed when the process ends must not keep it.
    connection._thread.daemon = True
    opening = asyncio.create_task(_opened(connection))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait([asyncio.create_task(_closed(opening))])
        raise


async def _opened(connection: aiosqlite.Connection) -> aiosqlite.Connection:
    try:
        return await connection
    except Exception:
        # Its thread tells this loop when it ends, which nobody waits for: the loop might be closed by then.
        await asyncio.to_thread(connection._thread.join)
        raise


async def _closed(opening: asyncio.Task[aiosqlite.Connection]) -> None:
    await asyncio.wait([opening])
    if not opening.cancelled() and opening.exception() is None:
        await opening.result().close()
