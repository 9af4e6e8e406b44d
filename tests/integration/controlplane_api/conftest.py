"""A real control plane in this process, on free ports."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from clients.control.client import ControlClient
from controlplane.server import running
from controlplane.settings import Settings
from tests.fakes import sqlite_copies
from tests.fakes.ecr import FakeEcr
from tests.fakes.gates import BasicGate
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.servers.control_plane import Plane
from tests.servers.private import PASSWORD


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Listen on free ports, keep everything in the test's directory."""
    return Settings(
        data_dir=tmp_path / "data",
        grpc_listen="127.0.0.1:0",
        http_listen="127.0.0.1:0",
        database_url="",
        allow_private_upstreams=True,
    )


@pytest.fixture
async def plane(settings: Settings) -> AsyncIterator[Plane]:
    """Run a fresh control plane."""
    await sqlite_copies.copy_into(settings.data_dir)
    async with running(settings) as started, AsyncExitStack() as stack:
        assert started.new_admin_token is not None
        root = await stack.enter_async_context(ControlClient(str(started.grpc), started.new_admin_token))
        yield Plane(started, settings.data_dir, root, started.new_admin_token, stack)


@pytest.fixture
async def acme(plane: Plane, fake: FakeRegistry) -> Plane:
    """An organization, and an upstream that wants alice's password."""
    await plane.organization("acme")
    for path in ("team/app", "team/other"):
        fake.add(make_image(), path, ["1.0"])
    fake.gate = BasicGate({"alice": PASSWORD})
    return plane


@pytest.fixture
def fake_ecr() -> Iterator[FakeEcr]:
    """AWS."""
    with FakeEcr() as fake:
        yield fake
