"""Both databases: what is asked of pulls is much SQL, and not all of it the same."""

import pytest

from controlplane.model.database import Database
from tests.fakes.pulls import Vendor
from tests.fakes.rows import each_database

pytest_generate_tests = each_database


@pytest.fixture
async def vendor(database: Database) -> Vendor:
    """An organization of one's own."""
    return await Vendor.make(database)
