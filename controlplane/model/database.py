"""The database: opening it, and transactions on it, alike on SQLite and PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Final, Self, cast

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.pool import QueuePool
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.process.exits import ConfigurationError
from controlplane.model import engine, migrate
from controlplane.model.section import Section
from controlplane.model.signal import ChangeSignal
from controlplane.model.tables import Singleton

SETTING: Final = "PENSTOCK_DATABASE_URL"
_REVISION_RAISED: Final = "config_revision_raised"
# Seconds that a roll-back may take when all stops, and between two looks whether it has ended.
_GIVING_BACK: Final = 5.0
_LOOK: Final = 0.005
# Seconds that a server has to agree that connections are closed: one that hangs would take a minute for each.
_GOOD_BYE: Final = 1.0
_NO_ANSWER: Final = "The database does not answer."
# States of PostgreSQL in which the same works later: deadlock_detected, serialization_failure,
# lock_not_available.
_PASSING: Final = frozenset({"40P01", "40001", "55P03"})


class DatabaseUnavailable(Exception):
    """The database did not answer, or could not do its work now; nothing of the transaction was kept."""


class Database:
    """Transactions, and word of committed changes of the configuration.

    `config_changed` is sent after each commit in this process that raised the configuration
    revision. Other processes on the same database are noticed only by reading `revision`.
    """

    def __init__(self, connections: AsyncEngine) -> None:
        self.config_changed = ChangeSignal()
        self.before_commit: Callable[[AsyncSession], Awaitable[None]] | None = None
        """Called in every transaction that writes and is about to be kept, but for those `aside`."""
        self._engine = connections
        reading, writing = engine.for_reading(connections), engine.for_writing(connections)
        self._reading = async_sessionmaker(reading, class_=AsyncSession, expire_on_commit=False)
        self._writing = async_sessionmaker(writing, class_=AsyncSession, expire_on_commit=False)
        # SQLite has one writer at a time; a queue here is fair, and cheaper than its busy handler.
        self._turn: AbstractAsyncContextManager[object] = (
            asyncio.Lock() if connections.dialect.name == "sqlite" else nullcontext()
        )

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to `sqlite:///path` or `postgresql://...`, and bring the tables up to date.

        Raises ConfigurationError where the URL is wrong, where it leads to something else than a
        database of Penstock, or where that was written by a newer version; DatabaseUnavailable
        where the server does not answer.
        """
        try:
            connections = engine.create(make_url(url))
        except (ArgumentError, ValueError) as error:
            raise ConfigurationError(
                f"{SETTING} is not a database URL: give sqlite:///path/to/file or"
                " postgresql://user:password@host/name."
            ) from error
        migrating = engine.for_migrating(connections)
        try:
            await migrate.to_head(migrating)
        except BaseException as error:
            await connections.dispose()
            if isinstance(error, (DBAPIError, asyncpg.PostgresError, OSError)):
                raise _refusal(url, error) from error
            raise
        finally:
            if migrating is not connections:
                await migrating.dispose()
        return cls(connections)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Open a transaction that only reads, and sees one moment's state throughout.

        Raises DatabaseUnavailable.
        """
        async with _transaction(self._reading) as session:
            yield session

    @asynccontextmanager
    async def write(self, *, keep: bool = True, aside: bool = False) -> AsyncIterator[AsyncSession]:
        """Open a transaction that commits when the block ends, and rolls back when it raises.

        Without `keep` it rolls back in the end as well, after every constraint was checked. `aside` is what
        stands beside the change that a request makes, like a note of what an upstream said.
        Keep it short, and never wait for anything but the database in it: on SQLite no other can
        write meanwhile. Not to be nested. Raises DatabaseUnavailable, and IntegrityError of
        SQLAlchemy where a constraint is broken.
        """
        async with self._turn, _transaction(self._writing) as session:
            yield session
            if not keep:
                await session.flush()
                await session.rollback()
            elif self.before_commit is not None and not aside:
                await self.before_commit(session)
        if keep and session.info.get(_REVISION_RAISED):
            self.config_changed.send()

    async def raise_revision(self, session: AsyncSession, *sections: Section) -> int:
        """Raise the configuration revision in this transaction, and give the new one.

        Needed by every change to what nodes run by, and last of all that it locks (see
        `controlplane.model.locks`). `config_changed` is sent after the commit. Sections
        that are named, all where none is, are read again by the feed, and no others.
        """
        session.info[_REVISION_RAISED] = True
        raised = col(Singleton.config_revision) + 1
        await session.exec(
            update(Singleton).values(
                {"config_revision": raised} | {each.column: raised for each in sections or Section}
            )
        )
        return await self.revision(session)

    async def revision(self, session: AsyncSession) -> int:
        """Give the configuration revision that this transaction sees."""
        return (await session.exec(select(Singleton.config_revision))).one()

    async def close(self) -> None:
        """Close every connection, once what was cancelled has given back those that it rolls back on."""
        pool = cast("QueuePool", self._engine.pool)
        with suppress(TimeoutError):
            async with asyncio.timeout(_GIVING_BACK):
                while pool.checkedout():  # noqa: ASYNC110 - the pool tells nobody
                    await asyncio.sleep(_LOOK)
        await _dispose(self._engine)


async def _dispose(engine: AsyncEngine) -> None:
    """Close the connections of an engine, each when the server has agreed, or a second later."""
    pool = cast("QueuePool", engine.pool)
    # SQLite may be writing its log back.
    patience = None if engine.dialect.name == "sqlite" else _GOOD_BYE
    while True:
        try:
            async with asyncio.timeout(patience):
                await engine.dispose()
        except TimeoutError:
            # The one that was waited for is closed by that.
            if pool.checkedin():
                continue
        return


@asynccontextmanager
async def _transaction(sessions: async_sessionmaker[AsyncSession]) -> AsyncIterator[AsyncSession]:
    try:
        async with sessions() as session, session.begin():
            try:
                await session.connection()
            except (OSError, PoolExhausted, asyncpg.PostgresError) as error:
                raise DatabaseUnavailable(_NO_ANSWER) from error
            yield session
    except DBAPIError as error:
        if _is_unavailable(error):
            raise DatabaseUnavailable(_NO_ANSWER) from error
        raise
    except TimeoutError as error:
        # A statement that takes longer than the driver waits, which SQLAlchemy passes on as it is.
        raise DatabaseUnavailable(_NO_ANSWER) from error


def _is_unavailable(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        # SQLite says DatabaseError, and none of its kinds, of a file that was damaged.
        damaged = type(error) is DatabaseError
        passing = getattr(error.orig, "sqlstate", None) in _PASSING
        unanswered = isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated
        return damaged or passing or unanswered
    return isinstance(error, OSError | asyncpg.PostgresConnectionError | asyncpg.CannotConnectNowError)


def _refusal(url: str, error: Exception) -> Exception:
    place = make_url(url)
    # A time-out has no words of its own.
    reason = str(error.orig if isinstance(error, DBAPIError) else error).rstrip(".") or "it takes too long"
    shown = place.render_as_string(hide_password=True)
    if place.get_backend_name() != "sqlite" and _is_unavailable(error):
        return DatabaseUnavailable(
            f"The database {shown} does not answer ({reason}): start it, or correct {SETTING}."
        )
    return ConfigurationError(
        f"The database {shown} cannot be used ({reason}): set {SETTING} to one that Penstock may use."
    )
