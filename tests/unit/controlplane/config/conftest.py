"""What the tests here share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.model.database import Database
from tests.fakes.rows import open_database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    async with open_database(tmp_path) as opened:
        yield opened
