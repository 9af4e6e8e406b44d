"""Who is still on which version: the tag of an artifact that each customer pulled last."""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from clients.oci.version import Version, VersionRange
from controlplane.analytics.choice import Chosen
from controlplane.analytics.names import Name, Names
from controlplane.analytics.times import DAY
from controlplane.model.pull_tables import NOTHING, Grain, PullSum, Shape
from penstock.v1.pull_pb2 import PullEvent


@dataclass(frozen=True, slots=True)
class Holder:
    """A customer, of no name for the organization itself, and what it pulled last."""

    customer: Name
    tag: str
    # Milliseconds since 1970.
    last_time: int


async def holders(session: AsyncSession, artifact: Chosen, versions: VersionRange | None) -> list[Holder]:
    """Give those whose last pull of the artifact was of one of these versions, by customer.

    `artifact` chooses by the artifact alone, and from when on.
    """
    if artifact.is_empty:
        return []
    last = func.max(PullSum.last_time)
    newest_first = func.row_number().over(
        partition_by=col(PullSum.customer_id), order_by=(last.desc(), col(PullSum.tag_id).desc())
    )
    pulled = (
        select(
            col(PullSum.customer_id),
            col(PullSum.tag_id),
            last.label("last_time"),
            newest_first.label("place"),
        )
        .where(
            *artifact.conditions(PullSum),
            col(PullSum.grain) == Grain.DAY,
            col(PullSum.shape) == Shape.HOLDER,
            col(PullSum.kind) == PullEvent.PULL,
            col(PullSum.bucket) >= (artifact.start or 0) // DAY,
            col(PullSum.tag_id) != NOTHING,
        )
        .group_by(col(PullSum.customer_id), col(PullSum.tag_id))
        .subquery()
    )
    # One of each customer, however many versions it has pulled.
    statement = select(pulled.c.customer_id, pulled.c.tag_id, pulled.c.last_time).where(pulled.c.place == 1)
    rows = await (await session.connection()).execute(statement)
    newest = {customer: (tag, time) for customer, tag, time in rows}
    names = Names()
    await names.learn(session, {*newest, *(tag for tag, _ in newest.values())})
    found = (Holder(names.of(customer), names.of(tag).name, time) for customer, (tag, time) in newest.items())
    return sorted(
        (holder for holder in found if versions is None or _is_of(holder.tag, versions)),
        key=lambda holder: (holder.customer.name, holder.customer.uid),
    )


def _is_of(tag: str, versions: VersionRange) -> bool:
    version = Version.parse(tag)
    return version is not None and versions.contains(version)
