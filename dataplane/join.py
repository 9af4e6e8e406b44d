"""How a node gets admitted to its control plane."""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

from clients.control.client import ControlClient
from clients.process.exits import ConfigurationError
from clients.process.place import NODE_TOKEN_FILE, read_secret
from dataplane.settings import Settings

_LOG = logging.getLogger(__name__)

_TOKEN_POLL: Final = 0.25


async def join(settings: Settings, data_dir: Path) -> ControlClient:
    """Make the client, once there is a token; raises ConfigurationError where that can be none."""
    token = settings.node_token.get_secret_value() or await _wait_for_token(data_dir / NODE_TOKEN_FILE)
    try:
        return ControlClient(str(settings.target), token, settings.trust)
    except ValueError as error:
        raise ConfigurationError(f"PENSTOCK_NODE_TOKEN cannot be used: {error}.") from error


async def _wait_for_token(path: Path) -> str:
    told = False
    while True:
        with suppress(FileNotFoundError):
            return await asyncio.to_thread(read_secret, path)
        if not told:
            _LOG.warning(
                "This node waits for its token: set PENSTOCK_NODE_TOKEN to what `penstock nodes create` "
                "printed, or let the control plane write %s.",
                path,
            )
            told = True
        await asyncio.sleep(_TOKEN_POLL)
