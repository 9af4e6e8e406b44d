"""A real control plane in this process, on free ports."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from clients.control.client import ControlClient
from controlplane.server import running
from controlplane.settings import Settings
from tests.servers.control_plane import Plane


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
    async with running(settings) as started, AsyncExitStack() as stack:
        assert started.new_admin_token is not None
        root = await stack.enter_async_context(ControlClient(str(started.grpc), started.new_admin_token))
        yield Plane(started, settings.data_dir, root, started.new_admin_token, stack)
