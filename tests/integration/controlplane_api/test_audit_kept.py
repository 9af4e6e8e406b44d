"""How long entries of the audit log are kept, on both databases."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlmodel import col, select

from controlplane.api import audits
from controlplane.api.audits import AuditServicer
from controlplane.model.access_tables import AuditRecord
from controlplane.model.database import Database
from tests.fakes.rows import BOTH_DATABASES, NOW


@BOTH_DATABASES
async def test_old_entries_are_deleted_a_few_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """No statement deletes more than its portion, however many are old; what is younger stays."""
    async with database.write() as session:
        session.add_all(
            AuditRecord(
                uid=str(age),
                time=NOW - timedelta(days=age),
                **dict.fromkeys(("email", "user_uid", "token_uid", "address", "method", "resource"), ""),
                change={},
            )
            for age in range(10)
        )
    deleted: list[int] = []

    def count(_: Any, cursor: Any, statement: str, *_more: Any) -> None:
        if statement.startswith("DELETE"):
            deleted.append(cursor.rowcount)

    event.listen(Engine, "after_cursor_execute", count)
    request.addfinalizer(lambda: event.remove(Engine, "after_cursor_execute", count))
    monkeypatch.setattr(audits, "_BATCH", 3)
    await AuditServicer(database, timedelta(days=1), lambda: NOW).tidy()
    async with database.read() as session:
        assert (await session.exec(select(AuditRecord.uid).order_by(col(AuditRecord.id)))).all() == ["0", "1"]
    assert deleted == [3, 3, 2]
