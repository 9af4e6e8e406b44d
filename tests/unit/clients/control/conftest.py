"""The client against a scripted control plane, on a real socket."""

from collections.abc import AsyncIterator

import pytest

from clients.control.client import ControlClient
from clients.control.token import TokenKind, new_token
from tests.fakes.scripted_api import ScriptedApi, served


@pytest.fixture
async def api() -> AsyncIterator[ScriptedApi]:
    """A control plane that answers what it is told to."""
    async with served() as api:
        yield api


@pytest.fixture
def token() -> str:
    """A token of nobody in particular."""
    return new_token(TokenKind.USER)


@pytest.fixture
async def control(api: ScriptedApi, token: str) -> AsyncIterator[ControlClient]:
    """A client of it."""
    async with ControlClient(api.address, token) as client:
        yield client
