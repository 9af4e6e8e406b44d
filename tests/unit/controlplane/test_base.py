"""How the parts of a control plane stop."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from controlplane import base as base_module
from controlplane.base import Base
from controlplane.server import utc_now
from controlplane.settings import Settings
from tests.fakes.rows import open_database


async def test_a_part_that_hangs_keeps_no_other_from_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one that waits for a database which does not answer; the log says which it was."""
    monkeypatch.setattr(base_module, "_PATIENCE", 0.01)
    stopped: list[str] = []

    async def first() -> None:
        stopped.append("first")

    async def hanging() -> None:
        await asyncio.Event().wait()

    async with open_database(tmp_path) as database, AsyncExitStack() as stack:
        base = Base(stack, Settings(), tmp_path, database, CollectorRegistry(), utc_now)
        base.at_stop(first)
        base.at_stop(hanging)
    assert stopped == ["first"]
    assert "hanging took more than" in caplog.text
