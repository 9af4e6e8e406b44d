"""What writes and deletes behind the API goes on after a failure that nobody foresaw."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from controlplane.api import audits, uses
from controlplane.api.audits import AuditServicer
from controlplane.api.uses import Uses
from controlplane.model.database import Database
from tests.fakes.waiting import until

NOBODY = cast("Database", None)


def now() -> datetime:
    """Some time of day."""
    return datetime(2026, 1, 1, tzinfo=UTC)


async def test_last_uses_are_written_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is logged, what came with it is lost; the next uses are written, the last at the end."""
    saved: list[str] = []
    monkeypatch.setattr(uses, "_FLUSH", 0.01)

    async def save(_: Uses, batch: Any, _refusals: Any) -> None:
        saved.extend(use.token_uid for use in batch)
        if "first" in saved[-1:]:
            raise RuntimeError("deadlock detected")

    monkeypatch.setattr(Uses, "save", save)
    keeper = Uses(NOBODY, CollectorRegistry(), now)
    await keeper.start()

    async def is_saved(token_uid: str) -> bool:
        return token_uid in saved

    for token_uid in ("first", "second"):
        keeper.used(token_uid, "10.0.0.1")
        await until(lambda token_uid=token_uid: is_saved(token_uid))  # type: ignore[misc]
    keeper.used("last", "10.0.0.1")
    await keeper.stop()
    assert saved == ["first", "second", "last"]
    assert "deadlock detected" in caplog.text


async def test_audit_entries_are_deleted_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The failure is logged, and the next time comes."""
    rounds: list[int] = []
    monkeypatch.setattr(audits, "_PAUSE", 0.01)

    async def tidy(_: AuditServicer) -> None:
        rounds.append(1)
        if len(rounds) == 1:
            raise RuntimeError("statement timeout")

    monkeypatch.setattr(AuditServicer, "tidy", tidy)
    keeper = AuditServicer(NOBODY, timedelta(days=1), now)
    await keeper.start()

    async def is_tidied() -> bool:
        return len(rounds) > 2

    await until(is_tidied)
    await keeper.stop()
    assert "statement timeout" in caplog.text
