"""A database that goes away, and comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.model.database import Database, DatabaseUnavailable


class Away:
    """Stands for a database; takes nothing while `away`, and tells when something was refused."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False
        self.refused = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def write(self, *, keep: bool = True) -> AsyncIterator[AsyncSession]:
        if self.away:
            self.refused.set()
            raise DatabaseUnavailable("away")
        async with self._database.write(keep=keep) as session:
            yield session
