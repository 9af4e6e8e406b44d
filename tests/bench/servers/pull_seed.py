"""Millions of pulls, made by the database itself: the same ones on SQLite and PostgreSQL.

A vendor with 950 customers of two users each and a hundred users of its own; each pulls a few of 50
artifacts, mostly their newest tags, from a few addresses, over 90 days that end at NOW.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Table, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from controlplane.analytics.names import Naming
from controlplane.analytics.sums import COLUMNS, DIMENSIONS, LENGTH, SHAPES
from controlplane.analytics.times import DAY, Month, milliseconds
from controlplane.model.identifiers import new_uid
from controlplane.model.pull_tables import NameKind, PullRecord, PullSum
from controlplane.model.tables import Organization

NOW: Final = datetime(2026, 11, 1, tzinfo=UTC)
DAYS: Final = 90
_START: Final = milliseconds(NOW - timedelta(days=DAYS))
_BATCH: Final = 250_000
_ROOM: Final = {
    "sqlite": "PRAGMA cache_size=-1000000",
    "postgresql": "SET maintenance_work_mem = '512MB'",
}
SLUG: Final = "vendor"
TAGS: Final = 20
# Where the numbers of each kind begin, how many there are, and what they are called.
_NAMES: Final = {
    NameKind.ARTIFACT: (1, 50, "app{}"),
    NameKind.CUSTOMER: (101, 950, "customer{}"),
    NameKind.USER: (2001, 2000, "user{}@example.com"),
    NameKind.TOKEN: (5001, 2000, "token{}"),
    NameKind.TAG: (10_001, 50 * TAGS, "1.{}.0"),
    NameKind.DIGEST: (12_001, 50 * TAGS, "sha256:{:064x}"),
    NameKind.ADDRESS: (20_001, 6000, "2001:db8::{}"),
    NameKind.CLIENT: (30_001, 20, "docker/20.10.{} go/1.18"),
    NameKind.PLATFORM: (31_001, 3, "linux/arch{}"),
}
_WITH_UID: Final = (NameKind.ARTIFACT, NameKind.CUSTOMER, NameKind.USER, NameKind.TOKEN)
_SERIES: Final = {
    "sqlite": "(WITH RECURSIVE s(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM s WHERE i < :last)"
    " SELECT i FROM s)",
    "postgresql": "(SELECT i FROM generate_series(CAST(:first AS BIGINT), CAST(:last AS BIGINT)) AS s(i))",
}
_ID: Final = {
    "sqlite": "CAST(printf('%016d', i) AS BLOB)",
    "postgresql": "convert_to(lpad(CAST(i AS TEXT), 16, '0'), 'UTF8')",
}


def _random(seed: int) -> str:
    # From 0 to 1, the same on both: their own random numbers could not be.
    return f"((i * {seed}) % 1000003) / 1000003.0"


# More of the first users and of the newest tags than of the others. Each step knows what those before made.
_EVENTS: Final = f"""
INSERT INTO pull_event (organization_id, time, event_id, kind, completed, artifact_id, tag_id, digest_id,
    platform_id, platform_digest_id, customer_id, user_id, token_id, address_id, client_id, bytes_sent,
    warm_blobs, cold_blobs)
SELECT :organization, :start + i * :step, {{id}}, CASE WHEN i % 20 = 0 THEN 2 ELSE 1 END, {{true}}, artifact,
    10001 + (artifact - 1) * {TAGS} + tag, 12001 + (artifact - 1) * {TAGS} + tag,
    31001 + i % 3, 0, CASE WHEN person < 1900 THEN 101 + person / 2 ELSE 0 END, 2001 + person, 5001 + person,
    20001 + person * 3 + i % 3, 30001 + person % 20, 1000000 + i % 1000 * 1000,
    5, CASE WHEN i % 33 = 0 THEN 2 ELSE 0 END
FROM (
    SELECT i, person, 1 + (person / 2 * 7 + CAST(5 * r2 * r2 - 0.5 AS INTEGER)) % 50 AS artifact,
        CAST(({TAGS - 1} - 5 * r3 * r3 * r3) * i / :count AS INTEGER) AS tag
    FROM (
        SELECT i, CAST(1999 * r1 * r1 AS INTEGER) AS person, r2, r3
        FROM (
            SELECT i, {_random(7919)} AS r1, {_random(104729)} AS r2, {_random(15487)} AS r3
            FROM {{series}} AS n
        ) AS a
    ) AS b
) AS c
"""


async def seed(url: str, count: int) -> None:
    """Fills a database that was just opened for the first time with so many pulls."""
    place = make_url(url)
    driver = "sqlite+aiosqlite" if place.get_backend_name() == "sqlite" else "postgresql+asyncpg"
    # Not as Penstock connects: its statements may not take as long as these do.
    connections = create_async_engine(place.set(drivername=driver))
    try:
        async with connections.connect() as connection:
            await _seed(connection, count)
    finally:
        await connections.dispose()


async def _seed(connection: AsyncConnection, count: int) -> None:
    dialect = connection.dialect.name
    await connection.execute(text(_ROOM[dialect]))
    organization_id = await _organization(connection)
    await _names(connection, organization_id)
    if dialect == "postgresql":
        for month in Month.of(_START).until(Month.of(milliseconds(NOW))):
            await connection.execute(
                text(
                    f"CREATE TABLE pull_event_{month} PARTITION OF pull_event"
                    f" FOR VALUES FROM ({month.start}) TO ({month.next.start})"
                )
            )
    # Indexes that are made at the end take a fraction of the time.
    indexes = [*_table(PullRecord).indexes, *_table(PullSum).indexes]
    for index in indexes:
        await connection.run_sync(index.drop)
    await connection.commit()
    statement = _EVENTS.format(
        id=_ID[dialect], true="1" if dialect == "sqlite" else "TRUE", series=_SERIES[dialect]
    )
    given = {"organization": organization_id, "start": _START, "step": DAYS * DAY // count, "count": count}
    for first in range(0, count, _BATCH):
        batch = {"first": first, "last": min(first + _BATCH, count) - 1}
        await connection.execute(text(statement), given | batch)
        await connection.commit()
    for grain, shapes in SHAPES.items():
        for shape in shapes:
            await connection.execute(text(_sums(grain, shape)))
            await connection.commit()
    for index in indexes:
        await connection.run_sync(index.create)
        await connection.commit()
    await connection.execute(text("ANALYZE"))
    await connection.commit()


async def _organization(connection: AsyncConnection) -> int:
    row = Organization(uid=new_uid(), slug=SLUG, create_time=NOW, update_time=NOW)
    values = row.model_dump(exclude={"id"})
    await connection.execute(insert(_table(Organization)).values(values))
    return int((await connection.execute(select(_table(Organization).c.id))).scalar_one())


def _table(model: Any) -> Table:
    table: Table = model.__table__
    return table


async def _names(connection: AsyncConnection, organization_id: int) -> None:
    rows = []
    for kind, (first, many, pattern) in _NAMES.items():
        for number in range(many):
            # Tags of artifacts are called alike; here each is a row of its own, as nothing looks them up.
            name = pattern.format(number % TAGS if kind is NameKind.TAG else number)
            naming = Naming(organization_id, kind, f"{kind}-{number}", name)
            rows.append(
                {
                    "id": first + number,
                    "organization": organization_id,
                    "kind": kind.value,
                    "key": naming.key,
                    "uid": naming.uid if kind in _WITH_UID else "",
                    "name": name,
                    "day": milliseconds(NOW) // DAY,
                }
            )
    statement = (
        "INSERT INTO pull_name (id, organization_id, kind, key, uid, name, display_name, last_day)"
        " VALUES (:id, :organization, :kind, :key, :uid, :name, '', :day)"
    )
    await connection.execute(text(statement), rows)


def _sums(grain: Any, shape: Any) -> str:
    told = DIMENSIONS[shape]
    values = ", ".join(column if column in told else "0" for column in COLUMNS)
    keys = "".join(f", {column}" for column in told)
    bucket = f"time / {LENGTH[grain]}"
    return (
        f"INSERT INTO pull_sum (organization_id, grain, shape, bucket, {', '.join(COLUMNS)}, kind, count,"
        " cold, bytes_sent, last_time)"
        f" SELECT organization_id, {grain.value}, {shape.value}, {bucket}, {values}, kind, count(*),"
        " sum(CASE WHEN cold_blobs > 0 THEN 1 ELSE 0 END), sum(bytes_sent), max(time) FROM pull_event"
        f" GROUP BY organization_id, {bucket}{keys}, kind"
    )
