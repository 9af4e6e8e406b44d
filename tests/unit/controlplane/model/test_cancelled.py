"""Transactions that are given up in the middle, as when a caller hangs up."""

import asyncio
import gc
from functools import partial
from pathlib import Path

import pytest
from sqlmodel import select

from controlplane.model.database import Database
from controlplane.model.tables import Singleton
from tests.fakes.cancelling import CancelledAt
from tests.fakes.waiting import until
from tests.servers.leaks import Open, open_now

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


@pytest.mark.parametrize("writes", [False, True], ids=["read", "write"])
async def test_a_cancelled_transaction_leaves_no_connection_open(tmp_path: Path, writes: bool) -> None:
    """Wherever it was, although somebody keeps the traceback, as a log does: no file, and no lock."""
    database = await Database.open(f"sqlite:///{tmp_path / 'test.db'}")

    async def transaction() -> None:
        async with database.write() if writes else database.read() as session:
            await session.exec(select(Singleton))
            if writes:
                await database.raise_revision(session)

    kept: list[BaseException] = []
    moment, waited = 0, 1
    while moment < waited:
        await database.close()
        before = open_now()
        cancelled = CancelledAt(transaction(), moment)
        try:
            await cancelled
        except asyncio.CancelledError as error:
            kept.append(error)
        moment, waited = moment + 1, cancelled.waited
        await database.close()
        await until(partial(_nothing_new_is_open, before))
    assert len(kept) > 10
    async with database.write() as session:
        await database.raise_revision(session)
    await database.close()


async def _nothing_new_is_open(before: Open) -> bool:
    # A connection that was still being made is dropped with its last reference, and refers to itself.
    if open_now() - before:
        gc.collect()
    return not open_now() - before


async def test_closing_waits_for_what_is_still_rolling_back(tmp_path: Path) -> None:
    """Whoever stops everything cancels and closes at once; a connection given back later would stay open."""
    for moment in range(20):
        database = await Database.open(f"sqlite:///{tmp_path / f'{moment}.db'}")
        before = open_now()

        async def transaction(database: Database = database) -> None:
            async with database.read() as session:
                while True:
                    await session.exec(select(Singleton))

        task = asyncio.create_task(transaction())
        await asyncio.sleep(moment * 0.0005)
        task.cancel()
        await database.close()
        await asyncio.wait([task])
        assert not open_now() - before
