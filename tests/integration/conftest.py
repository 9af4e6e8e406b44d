"""A PostgreSQL server for all tests that want an empty database in it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controlplane.model.database import Database
from tests.fakes.rows import open_database
from tests.servers.postgres import Postgres


class Copies:
    """Databases in one server, each a copy of one with empty tables: that is quicker than to make them."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._template = ""

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
