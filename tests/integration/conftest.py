"""A PostgreSQL server for all tests that want an empty database in it."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.util import await_only

from controlplane.model.database import Database
from tests.fakes.rows import open_database
from tests.servers.postgres import Postgres

# Seconds, at most, before each statement: any of one transaction may come before any of the other.
_PAUSE = 0.006


class Copies:
    """Databases in one server, each a copy of one with empty tables: that is quicker than to make them."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._template = ""

    def empty(self) -> str:
        """Makes one without tables."""
        return self._server.copy()

    async def url(self) -> str:
        """Makes another one."""
        if not self._template:
            self._template = await asyncio.to_thread(self._server.copy)
            await (await Database.open(self._template)).close()
        return await asyncio.to_thread(self._server.copy, self._template)


@pytest.fixture(scope="session")
def postgres_copies() -> Iterator[Copies]:
    """Run a server for all who want a database of their own in one."""
    server = Postgres()
    try:
        yield Copies(server.start())
    finally:
        server.remove()


@pytest.fixture
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database: SQLite, or what the test is parametrised with (`rows.BOTH_DATABASES`)."""
    if getattr(request, "param", "sqlite") == "sqlite":
        async with open_database(tmp_path) as opened:
            yield opened
        return
    database = await Database.open(await request.getfixturevalue("postgres_copies").url())
    yield database
    await database.close()


@pytest.fixture
def pauses() -> Iterator[Callable[[], None]]:
    """Give what makes every transaction from then on pause before each of its statements."""
    chance = random.Random(7)

    def pause(*_: object) -> None:
        await_only(asyncio.sleep(chance.uniform(0, _PAUSE)))

    yield lambda: event.listen(Engine, "before_cursor_execute", pause)
    event.remove(Engine, "before_cursor_execute", pause)
