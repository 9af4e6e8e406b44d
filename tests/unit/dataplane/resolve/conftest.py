"""A control plane with an image, and what a node asks it with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from clients.control.client import ControlClient
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.estate import FakeArtifact
from tests.fakes.images import Image, make_image
from tests.unit.dataplane.resolve.resolving import Resolving


@pytest.fixture
async def plane() -> AsyncIterator[FakeControlPlane]:
    """A control plane."""
    async with FakeControlPlane() as plane:
        yield plane


@pytest.fixture
async def client(plane: FakeControlPlane) -> AsyncIterator[ControlClient]:
    """A connection to it."""
    async with ControlClient(plane.address, plane.token) as client:
        yield client


@pytest.fixture
async def node(client: ControlClient, tmp_path: Path) -> AsyncIterator[Resolving]:
    """What a node resolves with."""
    node = Resolving(client, tmp_path)
    yield node
    await node.stop()


@pytest.fixture
def image() -> Image:
    """An image."""
    return make_image()


@pytest.fixture
def held(plane: FakeControlPlane, image: Image) -> FakeArtifact:
    """An artifact that has the image."""
    artifact = plane.add_artifact("acme/app")
    plane.hold(artifact, image, ["1.0"])
    return artifact
