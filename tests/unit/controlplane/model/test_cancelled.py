"""Transactions that are given up in the middle, as when a caller hangs up."""

import asyncio
from pathlib import Path

from controlplane.model.database import Database

# Moments, in steps of 50 us, at which a transaction is cancelled: from its first step to after its last.
_MOMENTS = 120


async def test_a_cancelled_write_lets_others_write(tmp_path: Path) -> None:
    """Wherever it was interrupted: it keeps nothing, and above all no lock."""
    database = await Database.open(f"sqlite:///{tmp_path / 'test.db'}")

    async def write() -> None:
        async with database.write() as session:
            await database.raise_revision(session)

    for moment in range(_MOMENTS):
        cancelled = [asyncio.create_task(write()) for _ in range(2)]
        await asyncio.sleep(moment * 0.00005)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*cancelled, return_exceptions=True)
        # Raises DatabaseUnavailable where it has waited for a lock in vain.
        await write()
    async with database.read() as session:
        assert await database.revision(session) >= _MOMENTS
    await database.close()
