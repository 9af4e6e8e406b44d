"""What all parts of a control plane are built on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from controlplane.model.database import Database
from controlplane.settings import Settings

_LOG = logging.getLogger(__name__)

# Seconds that a part has to stop. A database that hangs would take a minute for each statement.
_PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Base:
    """What parts are made with; `now` is the time of day in UTC."""

    # Whatever is on it ends with the control plane, the last first.
    stack: AsyncExitStack
    settings: Settings
    # Where everything is kept that is not in the database.
    directory: Path
    database: Database
    # Of metrics.
    registry: CollectorRegistry
    now: Callable[[], datetime]

    def at_stop(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Have a part stop in its turn; one that takes too long is given up, and the others follow."""
        self.stack.push_async_callback(_in_time, stop)


async def _in_time(stop: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            await stop()
    except TimeoutError:
        _LOG.warning("%s took more than %g seconds, and was given up.", stop.__qualname__, _PATIENCE)
