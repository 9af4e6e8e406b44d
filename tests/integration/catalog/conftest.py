"""What the tests here share: access to upstreams on this machine."""

from collections.abc import AsyncIterator

import pytest

from clients.oci.transport import Transport
from controlplane.upstream.access import UpstreamAccess


@pytest.fixture
async def access() -> AsyncIterator[UpstreamAccess]:
    """Access to upstreams, on loopback as well."""
    async with Transport(allow_private=True) as transport:
        yield UpstreamAccess(transport, allow_private=True)
