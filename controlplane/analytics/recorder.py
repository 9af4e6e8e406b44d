"""Stores what nodes report: each event once, with the sums that it belongs to, in one transaction."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.analytics import names, partitions, sums
from controlplane.analytics.event import Event
from controlplane.analytics.known import Called, Known, look_up
from controlplane.analytics.names import Naming
from controlplane.analytics.times import DAY, Month
from controlplane.catalog.store import insert_into
from controlplane.model import sweep
from controlplane.model.database import Database
from controlplane.model.pull_tables import NOTHING, NameKind, PullRecord
from penstock.v1.pull_pb2 import PullEvent

_LOG = logging.getLogger(__name__)

# Which field of an event is which column of its row.
_WITH_UID: Final = {
    "artifact_id": (NameKind.ARTIFACT, "artifact_uid"),
    "customer_id": (NameKind.CUSTOMER, "customer_uid"),
    "user_id": (NameKind.USER, "user_uid"),
    "token_id": (NameKind.TOKEN, "token_uid"),
}
_BY_NAME: Final = {
    "tag_id": (NameKind.TAG, "tag"),
    "digest_id": (NameKind.DIGEST, "digest"),
    "platform_id": (NameKind.PLATFORM, "platform"),
    "platform_digest_id": (NameKind.DIGEST, "platform_digest"),
    "address_id": (NameKind.ADDRESS, "address"),
    "client_id": (NameKind.CLIENT, "client"),
}


class Counted(Protocol):
    """Takes note of what became of the events of a batch, when it is stored."""

    def stored(self, organization: str, artifact: str, customer: str, event: Event) -> None:
        """Count an event that is new; names are as in the API's, the artifact's its path."""

    def repeated(self, count: int) -> None:
        """Count events that were stored before."""

    def refused(self, count: int) -> None:
        """Count events that cannot be stored."""


class Recorder:
    """Takes events; `keep` is how long they stay."""

    def __init__(
        self, database: Database, measures: Counted, *, keep: timedelta, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._measures = measures
        self._keep = keep
        self._now = now

    async def record(self, messages: Sequence[PullEvent]) -> None:
        """Store the events of one report.

        Those that are stored already change nothing; those that cannot be are left out and counted, so that
        they do not hold up the others. Raises DatabaseUnavailable, and nothing is stored then.
        """
        async with self._database.read() as session:
            kept_since = await sweep.time(session, self._now()) - self._keep
        events, refused = self._parsed(messages, kept_since)
        if not events:
            self._measures.refused(refused)
            return
        async with self._database.write() as session:
            known = await look_up(session, events.values())
            kept = [event for event in events.values() if event.organization_uid in known.organizations]
            rows = await _rows(session, kept, known)
            new = await _insert(session, rows)
            await sums.add(session, (row for row in rows if row["event_id"] in new))
        self._measures.refused(refused + len(events) - len(kept))
        # Also those that are in the report itself more than once.
        self._measures.repeated(len(messages) - refused - len(events) + len(kept) - len(new))
        for event in kept:
            if event.event_id in new:
                _, slug = known.organizations[event.organization_uid]
                artifact = _called(known, NameKind.ARTIFACT, event.artifact_uid)
                customer = _called(known, NameKind.CUSTOMER, event.customer_uid)
                self._measures.stored(slug, artifact.name, customer.name, event)

    def _parsed(self, messages: Sequence[PullEvent], kept_since: datetime) -> tuple[dict[bytes, Event], int]:
        """Give the events that can be stored, by their ids, and how many cannot."""
        now = self._now()
        events: dict[bytes, Event] = {}
        refused = 0
        problem: ValueError | None = None
        for message in messages:
            try:
                event = Event.parse(message, now=now, kept_since=kept_since)
            except ValueError as error:
                problem = error
                refused += 1
            else:
                events.setdefault(event.event_id, event)
        if problem is not None:
            _LOG.warning("A node reported %d pulls that cannot be stored, one since %s.", refused, problem)
        return events, refused


async def _rows(session: AsyncSession, events: Collection[Event], known: Known) -> list[dict[str, Any]]:
    described = [(event, _columns(event, known)) for event in events]
    wanted: dict[Naming, int] = {}
    for event, columns in described:
        for naming in columns.values():
            if naming is not None:
                wanted[naming] = max(wanted.get(naming, 0), event.time // DAY)
    numbers = await names.number(session, wanted)
    return [
        {
            "organization_id": known.organizations[event.organization_uid][0],
            "time": event.time,
            "event_id": event.event_id,
            "kind": event.kind,
            "completed": event.completed,
            "bytes_sent": event.bytes_sent,
            "bytes_redirected": event.bytes_redirected,
            "warm_blobs": event.warm_blobs,
            "cold_blobs": event.cold_blobs,
        }
        | {column: NOTHING if naming is None else numbers[naming] for column, naming in columns.items()}
        for event, columns in described
    ]


def _columns(event: Event, known: Known) -> dict[str, Naming | None]:
    organization_id, _ = known.organizations[event.organization_uid]
    columns: dict[str, Naming | None] = {}
    for column, (kind, field) in _WITH_UID.items():
        uid = getattr(event, field)
        called = _called(known, kind, uid)
        naming = Naming(
            organization_id, kind, uid, called.name, called.display_name, (kind, uid) in known.names
        )
        columns[column] = naming if uid else None
    for column, (kind, field) in _BY_NAME.items():
        name = getattr(event, field)
        columns[column] = Naming(organization_id, kind, "", name) if name else None
    return columns


def _called(known: Known, kind: NameKind, uid: str) -> Called:
    return known.names.get((kind, uid), Called(uid))


async def _insert(session: AsyncSession, rows: Iterable[dict[str, Any]]) -> set[bytes]:
    """Store the rows and give the ids of those that were not there."""
    # In one order everywhere, so that replicas wait for each other in turn.
    ordered = sorted(rows, key=lambda row: (row["organization_id"], row["time"], row["event_id"]))
    if not ordered:
        return set()
    if session.get_bind().dialect.name == "postgresql":
        await partitions.make(session, {Month.of(row["time"]) for row in ordered})
    insert = insert_into(session, PullRecord).on_conflict_do_nothing()
    added = await (await session.connection()).execute(
        insert.returning(PullRecord.__table__.c.event_id),  # type: ignore[attr-defined]  # of every table
        ordered,
    )
    return set(added.scalars())
