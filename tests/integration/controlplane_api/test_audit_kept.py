"""How long entries of the audit log are kept, on both databases."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlmodel import col, insert, select, update

from controlplane.api.audits import AuditServicer
from controlplane.model.access_tables import AuditRecord
from controlplane.model.database import Database
from controlplane.model.tables import Singleton
from tests.fakes.rows import BOTH_DATABASES, NOW

# Entries that are too old, and that one transaction may delete.
_OLD, _MOST = 2500, 1000

_TEXTS = dict.fromkeys(("email", "user_uid", "token_uid", "address", "method", "resource"), "")


@BOTH_DATABASES
async def test_old_entries_are_deleted_in_portions(
    database: Database, request: pytest.FixtureRequest
) -> None:
    """No statement deletes more than its portion, however many are old; what is younger stays."""
    times = [NOW, NOW - timedelta(days=1), *[NOW - timedelta(days=2)] * _OLD]
    async with database.write() as session:
        await session.exec(
            insert(AuditRecord),
            params=[
                {"uid": str(number), "time": time, "change": {}, "outcome": {}} | _TEXTS
                for number, time in enumerate(times)
            ],
        )
    deleted: list[int] = []

    def count(_: Any, cursor: Any, statement: str, *_more: Any) -> None:
        if "DELETE FROM audit_record" in statement:
            deleted.append(cursor.rowcount)

    event.listen(Engine, "after_cursor_execute", count)
    request.addfinalizer(lambda: event.remove(Engine, "after_cursor_execute", count))
    await AuditServicer(database, timedelta(days=1), lambda: NOW).tidy()
    async with database.read() as session:
        assert (await session.exec(select(AuditRecord.uid).order_by(col(AuditRecord.id)))).all() == ["0", "1"]
    assert sum(deleted) == _OLD
    assert max(deleted) <= _MOST


@BOTH_DATABASES
async def test_a_clock_that_is_far_ahead_deletes_no_younger_entries(database: Database) -> None:
    """It is not believed, so long after old pulls were last looked for."""
    async with database.write() as session:
        for age in (0, 5):
            session.add(AuditRecord(uid=f"{age}", time=NOW - timedelta(days=age), change={}, **_TEXTS))
        await session.exec(update(Singleton).values({col(Singleton.pulls_swept_time): NOW}))
    await AuditServicer(database, timedelta(days=2), lambda: NOW + timedelta(days=9999)).tidy()
    async with database.read() as session:
        assert (await session.exec(select(AuditRecord.uid))).all() == ["0"]
