"""What the tests here share: access to upstreams on this machine, an artifact of one."""

from collections.abc import AsyncIterator

import pytest

from clients.oci.transport import Transport
from controlplane.model.database import Database
from controlplane.upstream.access import UpstreamAccess
from tests.fakes.contents import Repository
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import add_artifact
from tests.fakes.runs import Runs
from tests.fakes.synced import Bench


@pytest.fixture
async def access() -> AsyncIterator[UpstreamAccess]:
    """Access to upstreams, on loopback as well."""
    async with Transport(allow_private=True) as transport:
        yield UpstreamAccess(transport, allow_private=True)


@pytest.fixture
async def bench(database: Database, access: UpstreamAccess, fake: FakeRegistry) -> Bench:
    """An artifact whose upstream repository is there, and empty."""
    fake.repositories["team/app"] = Repository()
    return Bench(database, access, fake, await add_artifact(database, f"{fake.host}/team/app"))


@pytest.fixture
async def runs(database: Database, fake: FakeRegistry) -> AsyncIterator[Runs]:
    """Runs over an artifact whose upstream repository is there, and empty."""
    fake.repositories["team/app"] = Repository()
    async with Transport(allow_private=True) as transport:
        yield Runs(database, transport, fake, await add_artifact(database, f"{fake.host}/team/app"))
