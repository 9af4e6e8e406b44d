"""Who changed what: written by the transaction that makes the change, so that neither is without the other.

Whoever answers a request says in `changing` what it is; the first transaction in the block that is kept
carries the record. What stands beside the change in transactions of its own says `aside`. A request that
makes its changes in several transactions says in each, with `tells`, what was done up to there: the record
then says what was kept, whatever becomes of the rest.
"""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from google.api import field_behavior_pb2  # type: ignore[import-untyped]  # it ships no types
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.api import find
from controlplane.api.caller import Caller
from controlplane.model.access_tables import AuditRecord
from controlplane.model.artifact_tables import Artifact
from controlplane.model.identifiers import new_uid
from controlplane.model.tables import Organization

# Beginnings of the names of methods that change nothing; every other method is audited, new ones too.
_READING: Final = ("Get", "List", "Watch", "Explain", "Sum", "Export")
_ORGANIZATION: Final = re.compile(r"organizations/([^/]+)")
_ARTIFACT_UID: Final = re.compile(r"artifacts/([^/]+)")
_LONGEST: Final = 1 << 16
_LONGEST_NAME: Final = 500
_REDACTED: Final = "(secret)"


@dataclass(slots=True)
class _Change:
    """A request that is answered now."""

    method: str
    request: Message
    caller: Caller
    address: str
    # Name of what it creates, where the request cannot tell it.
    created: str = ""
    # Names of what it deletes, of which the request tells one.
    deleted: tuple[str, ...] = ()
    # Uid of the record, once it was written.
    record: str = ""
    outcome: dict[str, int | bool | str] = dataclasses.field(default_factory=dict)


_CHANGE: ContextVar[_Change | None] = ContextVar("audited_change", default=None)


def is_change(method: str) -> bool:
    """Tell whether a method, by its path, is one that changes something."""
    return not method.rpartition("/")[2].startswith(_READING)


@contextmanager
def changing(method: str, request: Message, caller: Caller, address: str) -> Iterator[None]:
    """Audit what the block changes, if it answers a method of a user that changes something."""
    wanted = is_change(method) and not caller.is_node
    token = _CHANGE.set(_Change(method.rpartition("/")[2], request, caller, address) if wanted else None)
    try:
        yield
    finally:
        _CHANGE.reset(token)


def creates(name: str) -> None:
    """Say, in the transaction that creates it, the name of what the request could not name."""
    change = _CHANGE.get()
    if change is not None:
        change.created = name


def deletes(*names: str) -> None:
    """Say, in the transaction that deletes it, all names of what the request names by one."""
    change = _CHANGE.get()
    if change is not None:
        change.deleted = names


def tells(**outcome: int | bool | str) -> None:
    """Say, in a transaction, what this request has done when it is kept; the rest stays as it was said."""
    change = _CHANGE.get()
    if change is not None:
        change.outcome |= outcome


def recorder(now: Callable[[], datetime]) -> Callable[[AsyncSession], Any]:
    """Make what `Database` calls in every transaction that it is about to keep."""

    async def record(session: AsyncSession) -> None:
        change = _CHANGE.get()
        if change is None or (change.record and not change.outcome):
            return
        if change.record:
            record = update(AuditRecord).where(col(AuditRecord.uid) == change.record)
            if (await session.exec(record.values(outcome=change.outcome))).rowcount:
                return
            # The transaction that wrote it was not kept after all.
        change.record = new_uid()
        resource = (change.created or resource_of(change.request))[:_LONGEST_NAME]
        names = change.deleted or await find.also_named(session, resource)
        session.add(
            AuditRecord(
                uid=change.record,
                organization_id=await _organization(session, resource, change.caller),
                time=now(),
                email=change.caller.email,
                user_uid=change.caller.user_uid,
                token_uid=change.caller.token_uid,
                address=change.address,
                method=change.method,
                resource=resource,
                alias=next((name for name in names if name != resource), ""),
                change=document(change.request),
                outcome=change.outcome,
            )
        )

    return record


async def _organization(session: AsyncSession, resource: str, caller: Caller) -> int | None:
    if caller.organization_id is not None:
        return caller.organization_id
    if match := _ORGANIZATION.match(resource):
        found = await session.exec(select(Organization.id).where(Organization.slug == match[1]))
        return found.first()
    if match := _ARTIFACT_UID.match(resource):
        owner = await session.exec(select(Artifact.organization_id).where(col(Artifact.uid) == match[1]))
        return owner.first()
    return None


def resource_of(request: Message) -> str:
    """Give the name of what a request is about; of what is created, as far as the request tells it."""
    name: str = getattr(request, "name", "")
    if name:
        return name
    made = ""
    for field, value in request.ListFields():
        if field.message_type is not None and not field.is_repeated:
            # An update names its resource; a creation may name it by what must be unique.
            if name := getattr(value, "name", ""):
                return str(name)
            made = made or getattr(value, "email", "")
        elif field.name.endswith("_id"):
            made = value
    # CreateArtifactRequest: artifacts.
    kind = request.DESCRIPTOR.name.removeprefix("Create").removesuffix("Request")
    parent: str = getattr(request, "parent", "")
    if not request.DESCRIPTOR.name.startswith("Create"):
        return parent
    return "/".join(part for part in (parent, f"{kind[:1].lower()}{kind[1:]}s", made) if part)


def document(request: Message) -> dict[str, Any]:
    """Give a request as JSON, without what is input only: that is how the API marks its secrets."""
    copy = type(request)()
    copy.CopyFrom(request)
    _redact(copy)
    found: dict[str, Any] = json_format.MessageToDict(copy, preserving_proto_field_name=True)
    if len(json.dumps(found)) <= _LONGEST:
        return found
    return {"left_out": "The request is too long to be kept.", "fields": sorted(found)}


def is_secret(field: FieldDescriptor) -> bool:
    """Tell whether a field never leaves: it is input only, or marked with `debug_redact`."""
    options = field.GetOptions()
    behaviours = options.Extensions[field_behavior_pb2.field_behavior]
    return bool(options.debug_redact) or field_behavior_pb2.INPUT_ONLY in behaviours


def _redact(message: Message) -> None:
    for field, value in message.ListFields():
        if is_secret(field):
            message.ClearField(field.name)
            if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated:
                setattr(message, field.name, _REDACTED)
        elif field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        else:
            for each in value if field.is_repeated else (value,):
                _redact(each)
