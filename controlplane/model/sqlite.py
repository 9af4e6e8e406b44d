"""A connection to SQLite that is closed when it is told to be."""

import sqlite3
from typing import Any
from weakref import WeakSet


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
