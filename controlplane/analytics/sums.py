"""Sums of hours and days, kept up with every batch of events."""

from collections.abc import Iterable, Mapping
from operator import mul
from typing import Any, Final

from sqlalchemy import case
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.analytics.times import DAY, HOUR
from controlplane.catalog.store import insert_into
from controlplane.model.pull_tables import Grain, PullSum, Shape

LENGTH: Final = {Grain.HOUR: HOUR, Grain.DAY: DAY}
"""Milliseconds."""
DIMENSIONS: Final[Mapping[Shape, tuple[str, ...]]] = {
    Shape.TOTAL: (),
    Shape.ARTIFACT: ("artifact_id",),
    Shape.TAG: ("artifact_id", "tag_id"),
    Shape.CUSTOMER: ("customer_id",),
    Shape.HOLDER: ("artifact_id", "tag_id", "customer_id"),
    Shape.USER: ("artifact_id", "tag_id", "customer_id", "user_id"),
    Shape.TOKEN: ("customer_id", "user_id", "token_id"),
    Shape.CLIENT: ("customer_id", "client_id"),
    Shape.ADDRESS: ("customer_id", "address_id"),
    Shape.MEMBER: ("artifact_id", "customer_id", "user_id"),
}
"""What each shape tells apart, those that have fewer sums first."""
SHAPES: Final[Mapping[Grain, tuple[Shape, ...]]] = {
    Grain.HOUR: (Shape.TOTAL, Shape.ARTIFACT, Shape.CUSTOMER, Shape.TAG),
    Grain.DAY: (
        Shape.TOTAL,
        Shape.ARTIFACT,
        Shape.CUSTOMER,
        Shape.TAG,
        Shape.CLIENT,
        Shape.HOLDER,
        Shape.TOKEN,
        Shape.ADDRESS,
        Shape.MEMBER,
        Shape.USER,
    ),
}
"""What there are sums of, in the order in which they should be asked."""
PERSONAL: Final = frozenset((Shape.USER, Shape.TOKEN, Shape.CLIENT, Shape.ADDRESS, Shape.MEMBER))
"""Those that are kept no longer than events: of people, and as many as these please."""
COLUMNS: Final = (
    "artifact_id",
    "tag_id",
    "customer_id",
    "user_id",
    "token_id",
    "address_id",
    "client_id",
)
"""What a sum may tell apart, each with a column; what it does not is NOTHING there."""
# The same as numbers, which is what a sum for each event is found by.
_SERIES: Final = tuple(
    (
        LENGTH[grain],
        grain.value,
        tuple((shape.value, tuple(column in DIMENSIONS[shape] for column in COLUMNS)) for shape in shapes),
    )
    for grain, shapes in SHAPES.items()
)
_KEY: Final = ("organization_id", "grain", "shape", "bucket", *COLUMNS, "kind")


async def add(session: AsyncSession, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add new events, given as rows of their table, to the sums."""
    sums: dict[tuple[int, ...], list[int]] = {}
    for row in rows:
        cold = int(row["cold_blobs"] > 0)
        for key in _keys(row):
            found = sums.setdefault(key, [0, 0, 0, 0, 0])
            found[0] += 1
            found[1] += cold
            found[2] += row["bytes_sent"]
            found[3] += row["bytes_redirected"]
            found[4] = max(found[4], row["time"])
    if not sums:
        return
    insert = insert_into(session, PullSum)
    new = insert.excluded
    upsert = insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "count": col(PullSum.count) + new.count,
            "cold": col(PullSum.cold) + new.cold,
            "bytes_sent": col(PullSum.bytes_sent) + new.bytes_sent,
            "bytes_redirected": col(PullSum.bytes_redirected) + new.bytes_redirected,
            "last_time": case(
                (col(PullSum.last_time) < new.last_time, new.last_time), else_=col(PullSum.last_time)
            ),
        },
    )
    values = ("count", "cold", "bytes_sent", "bytes_redirected", "last_time")
    # In one order everywhere, so that replicas wait for each other in turn.
    parameters = [
        dict(zip((*_KEY, *values), (*key, *found), strict=True)) for key, found in sorted(sums.items())
    ]
    await (await session.connection()).execute(upsert, parameters)


def _keys(row: Mapping[str, Any]) -> Iterable[tuple[int, ...]]:
    organization_id, time, kind = row["organization_id"], row["time"], row["kind"]
    numbers = [row[column] for column in COLUMNS]
    for length, grain, shapes in _SERIES:
        bucket = time // length
        for shape, told in shapes:
            # What a shape does not tell is NOTHING, which is 0.
            yield (organization_id, grain, shape, bucket, *map(mul, numbers, told), kind)
