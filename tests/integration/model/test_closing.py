"""How a database is closed that does not answer."""

import asyncio
import os
import signal

import pytest
from sqlalchemy import text

from controlplane.model.database import Database
from tests.integration.conftest import Copies

pytestmark = pytest.mark.real

# Far less than a statement may take, which each connection had to say good-bye.
_PATIENCE = 30.0


async def test_a_server_that_hangs_keeps_nobody_from_closing(postgres_copies: Copies) -> None:
    """A control plane that is told to stop ends, however many connections are open."""
    database = await Database.open(await postgres_copies.url())
    everybody = asyncio.Barrier(3)

    async def backend() -> int:
        async with database.read() as session:
            pid = (await session.exec(text("SELECT pg_backend_pid()"))).scalar_one()
            await everybody.wait()
        return int(pid)

    backends = set(await asyncio.gather(*(backend() for _ in range(3))))
    assert len(backends) == 3
    for pid in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(_PATIENCE):
            await database.close()
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
