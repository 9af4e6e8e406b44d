"""Transactions that are given up in the middle, as when a caller hangs up."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from controlplane.model.database import Database
from controlplane.model.sqlite import SqliteConnection
from controlplane.model.tables import Singleton
from tests.fakes import sqlite_copies
from tests.fakes.cancelling import CancelledAt
from tests.servers.leaks import left_open, open_now

# Moments, in steps of 50 us, at which a transaction is cancelled: from its first step to after its last.
_MOMENTS = 120
# Seconds that a thread waits for what the test is about to do.
_PATIENCE = 10.0


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
        # Now, and not once the event loop has gone on: whoever closes the database may end it.
        assert not left_open(before)
    assert len(kept) > 10
    async with database.write() as session:
        await database.raise_revision(session)
    await database.close()


async def test_closing_waits_for_what_is_still_being_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on when its task is cancelled: once all is closed, there must be no file to come."""
    database = await Database.open(f"sqlite:///{tmp_path / 'test.db'}")
    await database.close()
    before = open_now()
    begun, go_on = threading.Event(), threading.Event()
    original = SqliteConnection.__init__

    def slowly(self: SqliteConnection, *arguments: Any, **options: Any) -> None:
        begun.set()
        go_on.wait(_PATIENCE)
        original(self, *arguments, **options)

    monkeypatch.setattr(SqliteConnection, "__init__", slowly)

    async def transaction() -> None:
        async with database.read():
            pass

    task = asyncio.create_task(transaction())
    await asyncio.to_thread(begun.wait, _PATIENCE)
    task.cancel()
    closing = asyncio.create_task(database.close())
    await asyncio.sleep(0.05)
    go_on.set()
    await closing
    # From here on nobody may need the event loop any more.
    assert not left_open(before)
    assert task.cancelled()


async def test_closing_waits_for_what_is_still_rolling_back(tmp_path: Path) -> None:
    """Whoever stops everything cancels and closes at once; a connection given back later would stay open."""
    for moment in range(20):
        folder = tmp_path / str(moment)
        await sqlite_copies.copy_into(folder)
        database = await Database.open(f"sqlite:///{folder / sqlite_copies.FILE}")
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
