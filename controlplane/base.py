"""What all parts of a control plane are built on."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from controlplane.model.database import Database
from controlplane.settings import Settings


@dataclass(frozen=True, slots=True)
class Base:
    """Each part says on `stack` how it stops, the last first. `now` is the time of day in UTC."""

    stack: AsyncExitStack
    settings: Settings
    # Where everything is kept that is not in the database.
    directory: Path
    database: Database
    # Of metrics.
    registry: CollectorRegistry
    now: Callable[[], datetime]
