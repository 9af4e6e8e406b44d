"""What upstreams said of credentials, written down now and then: not once for every request."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlmodel import col, or_, update

from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.upstream_tables import Credential

_LOG = logging.getLogger(__name__)
_LONGEST: Final = 300


class Notes:
    """Writes when each credential was last accepted, to the minute, and why it was last refused.

    `now` is the time of day in UTC. Needs a running event loop.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        # By the credential's id: the minute, and what was said; empty for nothing bad.
        self._last: dict[int, tuple[datetime, str]] = {}
        self._pending: dict[int, tuple[datetime, str]] = {}
        self._task: asyncio.Task[None] | None = None

    def accepted(self, credential_id: int) -> None:
        """Take note that an upstream took it."""
        self._note(credential_id, "")

    def rejected(self, credential_id: int, sentence: str) -> None:
        """Take note that an upstream refused it, with why."""
        self._note(credential_id, sentence[:_LONGEST])

    async def stop(self) -> None:
        """Write what is left, and end."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    def _note(self, credential_id: int, sentence: str) -> None:
        note = (self._now().replace(second=0, microsecond=0), sentence)
        if self._last.get(credential_id) == note:
            return
        self._last[credential_id] = self._pending[credential_id] = note
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(), name="credential-notes")

    async def _write(self) -> None:
        while self._pending:
            pending, self._pending = self._pending, {}
            try:
                async with self._database.write(aside=True) as session:
                    # In the order in which all lock them (see `controlplane.model.locks`).
                    for credential_id, (minute, sentence) in sorted(pending.items()):
                        await session.exec(_update(credential_id, minute, sentence))
            except DatabaseUnavailable as error:
                _LOG.warning("What upstreams said of %d credentials is not kept: %s", len(pending), error)


def _update(credential_id: int, minute: datetime, sentence: str):  # type: ignore[no-untyped-def]  # of SQLAlchemy
    statement = update(Credential).where(col(Credential.id) == credential_id)
    if sentence:
        return statement.values(last_error=sentence, last_error_time=minute)
    # Another replica may have written the same.
    return statement.where(
        or_(
            col(Credential.last_success_time).is_(None),
            col(Credential.last_success_time) < minute,
            col(Credential.last_error) != "",
        )
    ).values(last_success_time=minute, last_error="", last_error_time=None)
