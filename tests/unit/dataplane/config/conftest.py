"""What tests of the configuration share."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.controlplane import FakeControlPlane


@pytest.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    """A control plane."""
    async with FakeControlPlane() as plane:
        yield plane
