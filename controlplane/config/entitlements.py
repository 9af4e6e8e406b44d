"""Entitlements for nodes: of a hundred thousand, only those that changed are read."""

import asyncio
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

import sqlalchemy
from sqlalchemy import tuple_
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.config.held import Entries
from controlplane.model import tag_rules
from controlplane.model.access_tables import Entitlement, EntitlementGrant
from controlplane.model.artifact_tables import Artifact
from controlplane.model.tables import Customer
from penstock.v1 import config_pb2

# Entitlements that are read at once: between two pages the process does other things.
_PAGE: Final = 2000
# Greater than any id: what was read of a revision was read whole.
_BEYOND: Final = 2**62


async def read(session: AsyncSession, held: Entries, since: int) -> Entries:
    """Give the entries as they are now, of those that were `held` at the revision `since`.

    Rows carry the revision of their last change. What was deleted is found by counting: when all that
    changed has been read, there are more held than there are rows only if some are gone.
    """
    entries = dict(held)
    position = (since, _BEYOND)
    while True:
        page = await _page(session, position)
        for _, rows in groupby(page, key=itemgetter(0)):
            entry = _entry(list(rows))
            entries[entry.uid] = entry.SerializeToString()
        if not page:
            break
        position = (page[-1].config_revision, page[-1].id)
        await asyncio.sleep(0)
    count = (await session.exec(select(func.count()).select_from(Entitlement))).one()
    if count != len(entries):
        left = set(await session.exec(select(Entitlement.uid)))
        entries = {uid: entry for uid, entry in entries.items() if uid in left}
    return entries


async def _page(session: AsyncSession, position: tuple[int, int]) -> list[Any]:
    """Give a row for each grant of the next entitlements, one without grant for those that have none."""
    own = (col(Entitlement.config_revision), col(Entitlement.id))
    chosen = (
        sqlalchemy.select(
            col(Entitlement.id),
            col(Entitlement.config_revision),
            col(Entitlement.uid),
            col(Entitlement.customer_id),
            col(Entitlement.expire_time),
        )
        .where(tuple_(*own) > tuple_(*position))
        .order_by(*own)
        .limit(_PAGE)
        .subquery()
    )
    statement = (
        sqlalchemy.select(
            chosen.c.id,
            chosen.c.config_revision,
            chosen.c.uid,
            chosen.c.expire_time,
            col(Customer.uid).label("customer"),
            col(Artifact.uid).label("artifact"),
            col(EntitlementGrant.rule),
        )
        .select_from(chosen)
        .join(Customer, col(Customer.id) == chosen.c.customer_id)
        .outerjoin(EntitlementGrant, col(EntitlementGrant.entitlement_id) == chosen.c.id)
        .outerjoin(Artifact, col(Artifact.id) == col(EntitlementGrant.artifact_id))
        .order_by(chosen.c.config_revision, chosen.c.id, col(Artifact.uid))
    )
    connection = await session.connection()
    return list(await connection.execute(statement))


def _entry(rows: list[Any]) -> config_pb2.EntitlementConfig:
    first = rows[0]
    return config_pb2.EntitlementConfig(
        uid=first.uid,
        customer_uid=first.customer,
        grants=[
            config_pb2.EntitlementConfig.Grant(artifact_uid=row.artifact, tags=tag_rules.message(row.rule))
            for row in rows
            if row.artifact is not None
        ],
        expire_time=first.expire_time,
    )
