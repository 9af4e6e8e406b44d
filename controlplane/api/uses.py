"""When and from where tokens were used last, and which sign-ins were refused."""

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import bindparam
from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.catalog.store import insert_into
from controlplane.model import sweep
from controlplane.model.access_tables import RefusedSignIn
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.locks import Hold, lock
from controlplane.model.portions import delete_some
from controlplane.model.tables import AccessToken, Node, Organization, User

_LOG = logging.getLogger(__name__)

# Seconds for which uses of this process are kept in memory: never a write for each request.
_FLUSH: Final = 30.0
# Of each kind between two flushes; uses beyond that are told by the next request, refusals are counted.
_MOST: Final = 10_000
_KEPT: Final = timedelta(days=30)
# Rows of refusals, the newest: whoever has many addresses must not fill the database with them.
_MOST_KEPT: Final = 100_000
# Of these that go with one report, which has fewer itself.
_PORTION: Final = 2 * _MOST


@dataclass(frozen=True, slots=True)
class Use:
    """The last use of a token."""

    token_uid: str
    time: datetime
    address: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """Sign-ins that were refused to an address; of a token that ended, or of none that is known."""

    address: str
    token_uid: str
    count: int
    last_time: datetime
    # Of the token, where whoever refused it says so.
    organization_uid: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a node sends, and sends again until it hears an answer."""

    node_uid: str
    # Of this report; empty where the node gives none.
    report_id: str


class Uses:
    """Takes note of uses and refusals, of this process and of nodes; `now` is the time of day in UTC."""

    def __init__(self, database: Database, registry: CollectorRegistry, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._uses: dict[str, Use] = {}
        self._refusals: dict[tuple[str, str], Refusals] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._refused = Counter(
            "penstock_refused_sign_ins",
            "Sign-ins that were refused, by whether the token is one that ended or is not known.",
            ("token",),
            registry=registry,
        )

    async def start(self) -> None:
        """Begin to write from time to time."""
        self._flusher = asyncio.create_task(self._flush_often(), name="token-uses")

    async def stop(self) -> None:
        """Write what is left, and stop."""
        if self._flusher is not None:
            self._flusher.cancel()
            with suppress(asyncio.CancelledError):
                await self._flusher
        await self._flush()

    def used(self, token_uid: str, address: str) -> None:
        """Note that a token was used at this process."""
        if token_uid in self._uses or len(self._uses) < _MOST:
            self._uses[token_uid] = Use(token_uid, self._now(), address)

    def refused(self, address: str, token_uid: str) -> None:
        """Note that this process refused a sign-in."""
        key = (address, token_uid)
        held = self._refusals.get(key)
        if held is None and len(self._refusals) >= _MOST:
            return
        count = held.count + 1 if held else 1
        self._refusals[key] = Refusals(address, token_uid, count, self._now())

    async def save(
        self, uses: Collection[Use], refusals: Collection[Refusals], report: Report | None = None
    ) -> None:
        """Write what was noted, in one transaction; an older use leaves a newer one as it is.

        Refusals of the same `report` as the node's last are not counted again.

        Times to come are those of a node whose clock is ahead: they count as now, so as to be older than what
        comes after them.
        """
        if not uses and not refusals:
            return
        now = self._now()
        uses = [replace(use, time=min(use.time, now)) for use in uses]
        refusals = [replace(each, last_time=min(each.last_time, now)) for each in refusals]
        async with self._database.write(aside=True) as session:
            if report is not None and await _is_repeated(session, report):
                refusals = ()
            await _save_uses(session, uses)
            await _save_refusals(session, refusals)
            await _forget(session, await sweep.time(session, now) - _KEPT)
        for each in refusals:
            self._refused.labels("ended" if each.token_uid else "unknown").inc(each.count)
            _LOG.warning(
                "%d sign-ins from %s were refused, %s.",
                each.count,
                each.address,
                f"with the token {each.token_uid}, which ended" if each.token_uid else "with unknown tokens",
            )

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH)
            await self._flush()

    async def _flush(self) -> None:
        uses, refusals = list(self._uses.values()), list(self._refusals.values())
        self._uses.clear()
        self._refusals.clear()
        try:
            await self.save(uses, refusals)
        except DatabaseUnavailable:
            _LOG.warning("The last use of %d tokens could not be written, and is lost.", len(uses))
        except Exception:  # noqa: BLE001 - the next ones are to be written all the same
            _LOG.exception("The last use of %d tokens could not be written, and is lost.", len(uses))


async def _is_repeated(session: AsyncSession, report: Report) -> bool:
    """Note the report at its node, whose others wait; tells whether it was there already."""
    if not report.report_id:
        return False
    noted = await session.exec(
        update(Node)
        .where(col(Node.uid) == report.node_uid, col(Node.use_report) != report.report_id)
        .values(use_report=report.report_id)
    )
    return not noted.rowcount


async def _save_uses(session: AsyncSession, uses: Collection[Use]) -> None:
    latest: dict[str, Use] = {}
    for use in uses:
        if use.token_uid not in latest or latest[use.token_uid].time < use.time:
            latest[use.token_uid] = use
    if not latest:
        return
    owners = select(AccessToken.user_id).where(col(AccessToken.uid).in_(latest))
    # Whoever deletes them takes their tokens in an order that is the database's.
    await lock(session, col(User.id), Hold.STAYS, col(User.id).in_(owners))
    connection = await session.connection()
    # In the order of uids, so that two processes that write the same tokens never wait in a circle.
    await connection.execute(
        update(AccessToken)
        .where(
            col(AccessToken.uid) == bindparam("token"),
            col(AccessToken.last_use_time).is_(None) | (col(AccessToken.last_use_time) < bindparam("time")),
        )
        .values(last_use_time=bindparam("time"), last_use_address=bindparam("address")),
        [
            {"token": use.token_uid, "time": use.time, "address": use.address}
            for _, use in sorted(latest.items())
        ],
    )


async def _save_refusals(session: AsyncSession, refusals: Collection[Refusals]) -> None:
    together: dict[tuple[str, str], Refusals] = {}
    for each in refusals:
        key = (each.address, each.token_uid)
        held = together.get(key)
        if held is not None:
            each = replace(each, count=held.count + each.count, last_time=max(held.last_time, each.last_time))
        together[key] = each
    if not together:
        return
    owners = await _owners(session, together.values())
    added = insert_into(session, RefusedSignIn)
    await session.exec(
        added.on_conflict_do_update(
            index_elements=["address", "token_uid"],
            set_={
                "count": col(RefusedSignIn.count) + added.excluded["count"],
                "last_time": added.excluded.last_time,
                "organization_id": func.coalesce(
                    added.excluded.organization_id, col(RefusedSignIn.organization_id)
                ),
            },
        ),
        params=[
            {
                "address": each.address,
                "token_uid": each.token_uid,
                "count": each.count,
                "first_time": each.last_time,
                "last_time": each.last_time,
                "organization_id": owners.get(each.token_uid),
            }
            for _, each in sorted(together.items())
        ],
    )


async def _owners(session: AsyncSession, refusals: Collection[Refusals]) -> dict[str, int]:
    """Give the organizations that tokens are of, or were: who revoked one wants to know of its use."""
    owners: dict[str, int] = {}
    named = {each.token_uid: each.organization_uid for each in refusals if each.organization_uid}
    if named:
        rows = await session.exec(
            select(Organization.uid, Organization.id).where(col(Organization.uid).in_(set(named.values())))
        )
        ids = {uid: key for uid, key in rows if key is not None}
        owners = {token: ids[uid] for token, uid in named.items() if uid in ids}
    unnamed = {each.token_uid for each in refusals if each.token_uid} - named.keys()
    if unnamed:
        found = await session.exec(
            select(AccessToken.uid, User.organization_id).where(
                AccessToken.user_id == User.id, col(AccessToken.uid).in_(unnamed)
            )
        )
        owners |= {token: key for token, key in found if key is not None}
    return owners


async def _forget(session: AsyncSession, before: datetime) -> None:
    """Delete refusals that are too old, or too many; not those that another process writes now."""
    last = col(RefusedSignIn.last_time)
    first_too_many = await session.exec(select(last).order_by(last.desc()).offset(_MOST_KEPT).limit(1))
    edge = first_too_many.first()
    which = (last < before) if edge is None else (last < before) | (last <= edge)
    await delete_some(session, RefusedSignIn, which, _PORTION)
