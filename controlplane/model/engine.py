"""Connections to SQLite and PostgreSQL, set up so that both give the same transactions."""

import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from sqlalchemy import URL, Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from controlplane.model import sqlite

_WRITES: Final = "penstock_writes"
# Seconds that a transaction waits for one of the connections.
_POOL_TIMEOUT: Final = 10
# What was to be written is not for logs, which have the tracebacks of statements that fail.
_HIDDEN: Final = True
# Seconds that PostgreSQL has to take a connection.
_CONNECT: Final = 10.0
# Seconds that a statement may take on PostgreSQL, for whatever it waits.
_STATEMENT: Final = 60.0
# The same of a migration, which may rebuild a large table, or wait until another replica has.
_MIGRATION: Final = 3600.0
# Milliseconds that a connection of SQLite waits for another process's write.
_BUSY_TIMEOUT: Final = 10_000
# Milliseconds after which PostgreSQL ends a transaction whose process says nothing: one that stands still
# must not keep its rows from all others.
_IDLE: Final = "10000"
_PRAGMAS: Final = (
    f"PRAGMA busy_timeout={_BUSY_TIMEOUT}",
    "PRAGMA journal_mode=WAL",
    # Survives a killed process; a power failure may lose the last commits, and corrupts nothing.
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
)


def create(url: URL) -> AsyncEngine:
    """Prepare connections to a `sqlite:` or `postgresql:` URL; connects to nothing yet.

    Raises ValueError for any other.
    """
    match url.get_backend_name():
        case "sqlite" if url.database and url.database != ":memory:":
            return _sqlite(url.set(drivername="sqlite+aiosqlite"))
        case "postgresql" | "postgres":
            return _postgresql(url.set(drivername="postgresql+asyncpg"), _STATEMENT)
        case _:
            raise ValueError(f"no database for {url.drivername}")


def for_reading(engine: AsyncEngine) -> AsyncEngine:
    """Give the engine whose transactions read one snapshot, and on PostgreSQL cannot write."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def for_writing(engine: AsyncEngine) -> AsyncEngine:
    """Give the engine whose transactions may write."""
    return engine.execution_options(**{_WRITES: True})


def for_migrating(engine: AsyncEngine) -> AsyncEngine:
    """Give the engine whose statements may take their time; another one on PostgreSQL, to be disposed of."""
    if engine.dialect.name == "sqlite":
        return engine
    return _postgresql(engine.url, _MIGRATION)


def _sqlite(url: URL) -> AsyncEngine:
    engine = create_async_engine(
        url,
        pool_timeout=_POOL_TIMEOUT,
        hide_parameters=_HIDDEN,
        connect_args={"async_creator_fn": sqlite.connect},
    )
    _listen(engine, "connect", _prepare_sqlite)
    _listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver must not begin transactions by itself: it would do so too late, at the first write.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        _patiently(partial(cursor.execute, pragma))
    cursor.close()


def _patiently(execute: Callable[[], object]) -> None:
    """Try again for as long as another process holds the database.

    SQLite does not wait by itself where a new file is about to get its write-ahead log: of processes that
    start at once, one gets "database is locked" at once.
    """
    end = time.monotonic() + _BUSY_TIMEOUT / 1000
    while True:
        try:
            execute()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails when another has written in between;
    # IMMEDIATE takes the turn at once.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql(url: URL, statement: float) -> AsyncEngine:
    query = dict(url.query)
    # libpq's name for it, which people write; asyncpg has its own.
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    return create_async_engine(
        url.set(query=query),
        pool_pre_ping=True,
        pool_timeout=_POOL_TIMEOUT,
        hide_parameters=_HIDDEN,
        connect_args={
            "timeout": _CONNECT,
            "command_timeout": statement,
            "server_settings": {"idle_in_transaction_session_timeout": _IDLE},
        },
    )


def _listen(engine: AsyncEngine, name: str, handler: Callable[..., None]) -> None:
    event.listen(engine.sync_engine, name, handler)
