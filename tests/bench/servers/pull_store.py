"""A database full of pulls, asked as PullService is."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import text

from controlplane.api.caller import Caller, acting_as
from controlplane.api.pulls import PullServicer
from controlplane.model.database import Database
from controlplane.model.roles import Role
from tests.bench.servers.penstock import Penstock
from tests.bench.servers.pull_seed import NOW, seed
from tests.servers.postgres import Postgres

_T = TypeVar("_T")
_PAGE_BYTES = 4096


class PullStore:
    """One database; `run` asks it, in the event loop that it lives in."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self._url = url
        self._runner = asyncio.Runner()
        self._database: Database | None = None

    def start(self, count: int) -> float:
        """Fills it with so many pulls, and gives how long that took, in s."""
        started = time.monotonic()
        self._database = self._runner.run(Database.open(self._url))
        self._runner.run(seed(self._url, count))
        return time.monotonic() - started

    def stop(self) -> None:
        if self._database is not None:
            self._runner.run(self._database.close())
        self._runner.close()

    def run(self, ask: Callable[[PullServicer], Awaitable[_T]]) -> _T:
        """Asks as an administrator does."""
        assert self._database is not None
        servicer = PullServicer(self._database, lambda: NOW)

        async def as_administrator() -> _T:
            with acting_as(Caller(role=Role.ADMIN)):
                return await ask(servicer)

        return self._runner.run(as_administrator())

    def wait_until_quiet(self) -> None:
        """Nothing goes on behind its answers."""

    def size(self) -> int:
        """Bytes that the database takes."""
        assert self._database is not None
        return self._runner.run(_size(self._database))


async def _size(database: Database) -> int:
    async with database.read() as session:
        connection = await session.connection()
        if connection.dialect.name == "sqlite":
            pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
            return int(pages) * _PAGE_BYTES
        found = await connection.execute(text("SELECT pg_database_size(current_database())"))
        return int(found.scalar_one())


@contextmanager
def stores(directory: Path, count: int, leave_out: Callable[[str], None]) -> Iterator[list[PullStore]]:
    """Gives SQLite and PostgreSQL, filled; the latter is left out, loudly, where it is not installed."""
    postgres = _postgres(leave_out)
    found = [PullStore(Penstock.name, f"sqlite:///{directory / 'controlplane.db'}")]
    try:
        if postgres is not None:
            found.append(PullStore("penstock on PostgreSQL", postgres.start().url))
        for store in found:
            seconds = store.start(count)
            print(
                f"({store.name}: {count:,} pulls in {seconds:.0f} s, {store.size() / 2**20:,.0f} MiB)",
                flush=True,
            )
        yield found
    finally:
        for store in found:
            store.stop()
        if postgres is not None:
            postgres.remove()


def _postgres(leave_out: Callable[[str], None]) -> Postgres | None:
    if not list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        leave_out("penstock on PostgreSQL: install Debian's postgresql, or run tests/setup.sh as root")
        return None
    return Postgres()
