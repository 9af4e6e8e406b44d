"""What the tests here share: a database, and access to upstreams on this machine."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.oci.transport import Transport
from controlplane.model.database import Database
from controlplane.upstream.access import UpstreamAccess
from tests.fakes.rows import open_database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An empty database."""
    async with open_database(tmp_path) as opened:
        yield opened


@pytest.fixture
async def access() -> AsyncIterator[UpstreamAccess]:
    """Access to upstreams, on loopback as well."""
    async with Transport(allow_private=True) as transport:
        yield UpstreamAccess(transport, allow_private=True)
