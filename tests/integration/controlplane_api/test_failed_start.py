"""A control plane that cannot start leaves nothing behind."""

import pytest

from controlplane.model.database import DatabaseUnavailable
from controlplane.server import running
from controlplane.settings import Settings
from controlplane.sync import recovery
from tests.fakes import sqlite_copies


async def test_a_database_that_fails_as_syncs_begin_ends_all_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No task goes on and no file stays open, which the checks around every test would find."""
    await sqlite_copies.copy_into(settings.data_dir)

    async def failing(*_: object) -> None:
        raise DatabaseUnavailable("the disk is full")

    monkeypatch.setattr(recovery, "take_back", failing)
    with pytest.raises(DatabaseUnavailable):
        async with running(settings):
            pass
