"""Both databases: what is asked of pulls is much SQL, and not all of it the same."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controlplane.model.database import Database
from tests.fakes.pulls import Vendor
from tests.fakes.rows import open_database
from tests.servers.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a server for all tests here: each has an organization of its own."""
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Give each kind of database."""
    if request.param == "sqlite":
        async with open_database(tmp_path) as opened:
            yield opened
        return
    opened = await Database.open(request.getfixturevalue("postgres").url)
    yield opened
    await opened.close()


@pytest.fixture
async def vendor(database: Database) -> Vendor:
    """An organization of one's own."""
    return await Vendor.make(database)
