"""Liveness and readiness."""

import asyncio
import json
from http import HTTPStatus
from typing import Final

from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.sync.runner import Syncs
from controlplane.web.handler import Handler

# Seconds that the database has for the question whether it is there.
_PATIENCE: Final = 2.0


class Readiness:
    """Whether this process can answer now."""

    def __init__(self, database: Database, syncs: Syncs) -> None:
        self._database = database
        self._syncs = syncs
        self._stopping = False

    def stop(self) -> None:
        """Be ready no more."""
        self._stopping = True

    def details(self) -> dict[str, str]:
        """Give what is not as it should be, though the process answers."""
        return {"sync": f"is paused: {self._syncs.problem}"} if self._syncs.problem else {}

    async def problems(self) -> dict[str, str]:
        """Give what keeps the process from answering, by part; empty when it is ready."""
        if self._stopping:
            return {"process": "is shutting down"}
        try:
            async with asyncio.timeout(_PATIENCE), self._database.read() as session:
                await self._database.revision(session)
        except (TimeoutError, DatabaseUnavailable):
            return {"database": "does not answer"}
        return {}


class Healthz(Handler):
    """The process runs, and its event loop turns."""

    def get(self) -> None:
        """Answer 200."""
        self.finish(json.dumps({"status": "ok"}))

    head = get


class Readyz(Handler):
    """The process can do its work."""

    def initialize(self, readiness: Readiness) -> None:
        """Take what is asked."""
        self._readiness = readiness

    async def get(self) -> None:
        """Answer 200 or 503, with what is wrong."""
        problems = await self._readiness.problems()
        self.set_status(HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK)
        answer = {"ready": not problems, "problems": problems, "details": self._readiness.details()}
        self.finish(json.dumps(answer))

    head = get
