"""AuditService: who changed what, listed; and what is too old, deleted.

Refused sign-ins are in `controlplane.api.refused_sign_ins`.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from google.protobuf import json_format
from sqlalchemy import ColumnElement, or_
from sqlmodel import col, select

from controlplane.api import find
from controlplane.api.everywhere import parse_parent
from controlplane.api.paging import number, page
from controlplane.api.refused_sign_ins import RefusedSignIns
from controlplane.api.timestamps import moment, timestamp
from controlplane.api.validation import Violations
from controlplane.model import sweep
from controlplane.model.access_tables import AuditRecord
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.naming import OrganizationName
from controlplane.model.portions import delete_some
from controlplane.model.saved import saved_id
from penstock.v1 import audit_pb2 as pb
from penstock.v1.audit_pb2_grpc import AuditServiceServicer

_LOG = logging.getLogger(__name__)

# Seconds between two looks for what is too old.
_PAUSE: Final = 3600.0
# Entries that are deleted in one transaction: on SQLite nobody else writes meanwhile.
_BATCH: Final = 1000


class AuditServicer(RefusedSignIns, AuditServiceServicer):
    """Answers from the records, and keeps each for `retention`; `now` is the time of day in UTC."""

    def __init__(self, database: Database, retention: timedelta, now: Callable[[], datetime]) -> None:
        super().__init__(database)
        self._database = database
        self._retention = retention
        self._now = now
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to delete what is too old."""
        self._task = asyncio.create_task(self._tidying(), name="audit-keeper")

    async def stop(self) -> None:
        """Delete no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def ListAuditEntries(
        self, request: pb.ListAuditEntriesRequest, _context: object
    ) -> pb.ListAuditEntriesResponse:
        """Answer ListAuditEntries."""
        with Violations() as violations:
            parent = violations.check("parent", parse_parent, request.parent)
            scope = f"{request.parent} audit {request.email} {request.method} {request.resource}"
            wanted = page(request, scope, violations, number)
            statement = select(AuditRecord).order_by(col(AuditRecord.id).desc()).limit(wanted.limit)
            if request.HasField("start_time"):
                start = violations.check("start_time", moment, request.start_time)
                statement = statement.where(col(AuditRecord.time) >= start)
            if request.HasField("end_time"):
                end = violations.check("end_time", moment, request.end_time)
                statement = statement.where(col(AuditRecord.time) < end)
        if wanted.after is not None:
            statement = statement.where(col(AuditRecord.id) < wanted.after)
        if request.email:
            statement = statement.where(AuditRecord.email == request.email.lower())
        if request.method:
            statement = statement.where(AuditRecord.method == request.method)
        async with self._database.read() as session:
            if request.resource:
                names = await find.also_named(session, request.resource)
                statement = statement.where(or_(*(_within(name) for name in names)))
            if parent is not None:
                organization = await find.organization(session, parent)
                statement = statement.where(AuditRecord.organization_id == organization.id)
            rows = (await session.exec(statement)).all()
            shown, token = wanted.cut(rows, lambda row: str(saved_id(row)))
            parents = await find.names_of(session, {row.organization_id for row in shown})
        return pb.ListAuditEntriesResponse(
            audit_entries=[
                _message(row, parents.get(row.organization_id, "organizations/-")) for row in shown
            ],
            next_page_token=token,
        )

    async def tidy(self) -> None:
        """Delete what is older than the retention."""
        async with self._database.read() as session:
            time = await sweep.time(session, self._now())
        old = col(AuditRecord.time) < time - self._retention
        deleted = _BATCH
        while deleted == _BATCH:
            async with self._database.write() as session:
                deleted = await delete_some(session, AuditRecord, old, _BATCH)

    async def _tidying(self) -> None:
        while True:
            try:
                await self.tidy()
            except DatabaseUnavailable as error:
                _LOG.warning("Old audit entries are not deleted now: %s", error)
            except Exception:  # noqa: BLE001 - the next time is not to be missed for it
                _LOG.exception("Old audit entries are not deleted now.")
            await asyncio.sleep(_PAUSE)


def _within(name: str) -> ColumnElement[bool]:
    names = (col(AuditRecord.resource), col(AuditRecord.alias))
    return or_(*((each == name) | each.startswith(f"{name}/", autoescape=True) for each in names))


def _message(row: AuditRecord, parent: OrganizationName | str) -> pb.AuditEntry:
    entry = pb.AuditEntry(
        name=f"{parent}/auditEntries/{row.uid}",
        time=timestamp(row.time),
        email=row.email,
        user_uid=row.user_uid,
        token_uid=row.token_uid,
        address=row.address,
        method=row.method,
        resource=row.resource,
    )
    json_format.ParseDict(row.change, entry.change)
    json_format.ParseDict(row.outcome, entry.outcome)
    return entry
