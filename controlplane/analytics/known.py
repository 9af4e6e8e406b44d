"""What the uids in events are called now, as far as the tables still have them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, literal, select, union_all
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.analytics.event import Event
from controlplane.model.artifact_tables import Artifact
from controlplane.model.pull_tables import NameKind
from controlplane.model.tables import Customer, Organization, User

_ORGANIZATION = 0


@dataclass(frozen=True, slots=True)
class Called:
    """The name of something that has a uid."""

    name: str
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """Organizations by their uids, as internal id and slug, and names of what is theirs, by kind and uid."""

    organizations: dict[str, tuple[int, str]]
    names: dict[tuple[NameKind, str], Called]


async def look_up(session: AsyncSession, events: Iterable[Event]) -> Known:
    """Ask once for all that the events name; what was deleted is left out."""
    found = list(events)
    statement = union_all(
        _names(_ORGANIZATION, Organization, "slug", {event.organization_uid for event in found}),
        _names(NameKind.ARTIFACT, Artifact, "path", {event.artifact_uid for event in found}),
        _names(NameKind.CUSTOMER, Customer, "slug", {event.customer_uid for event in found}),
        _names(NameKind.USER, User, "email", {event.user_uid for event in found}),
    )
    known = Known({}, {})
    for kind, uid, name, display_name, internal in await (await session.connection()).execute(statement):
        if kind == _ORGANIZATION:
            known.organizations[uid] = (internal, name)
        else:
            known.names[NameKind(kind), uid] = Called(name, display_name)
    return known


def _names(kind: int, table: type[SQLModel], name: str, uids: set[str]) -> Select[Any]:
    columns: Any = table
    return select(literal(kind), columns.uid, getattr(columns, name), columns.display_name, columns.id).where(
        columns.uid.in_(uids)
    )
