"""What tags stood for, from when to when."""

from datetime import UTC, timedelta

from prometheus_client import CollectorRegistry
from sqlmodel import func, insert, select, update

from controlplane.catalog import held
from controlplane.model.artifact_tables import Artifact, TagRevision
from controlplane.model.database import Database
from controlplane.sync.lease_rows import LeaseRows
from controlplane.sync.limits import Limits
from controlplane.sync.lock_health import LockHealth
from controlplane.sync.measures import SyncMeasures
from controlplane.sync.runner import Syncs
from controlplane.sync.schedule import Schedule
from controlplane.sync.ticker import Ticker
from tests.fakes.claims import Claims
from tests.fakes.images import make_image
from tests.fakes.rows import BOTH_DATABASES, NOW, add_artifact
from tests.fakes.runs import Runs
from tests.fakes.waiting import until

pytestmark = BOTH_DATABASES

_LONG = timedelta(days=400)


async def test_moves_and_removal_are_kept(runs: Runs) -> None:
    """Each digest with the time it had, without gaps; a tag that never moved has no rows."""
    first, second = make_image(seed=1), make_image(seed=2)
    runs.add(make_image(seed=3), "stays", "stays-too")
    runs.add(first, "1.0")
    await runs.sync()
    began = runs.now
    runs.add(second, "1.0")
    await runs.sync()
    moved = runs.now
    assert [(row.digest, row.start_time, row.end_time) for row in await runs.history("1.0")] == [
        (str(first.digest), began, moved)
    ]

    runs.remove("1.0")
    await runs.sync()
    await runs.sync()

    assert [(row.digest, row.start_time, row.end_time) for row in await runs.history("1.0")] == [
        (str(first.digest), began, moved),
        (str(second.digest), moved, runs.now),
    ]
    assert await runs.history("stays") == []


async def test_what_ended_long_ago_is_forgotten(runs: Runs) -> None:
    """By what tidies up, as a setting says; what ended since, and what tags stand for now, stays."""
    for seed in range(3):
        runs.add(make_image(seed=seed), "1.0")
        await runs.sync(later=timedelta(days=10))
    assert len(await runs.history("1.0")) == 2
    limits = Limits(tag_history=timedelta(days=5))
    syncs = Syncs(runs.database, runs.access, limits=limits, now=lambda: runs.now)

    await syncs.start()
    await syncs.stop()

    (left,) = await runs.history("1.0")
    assert left.end_time == runs.now
    assert set(await runs.tags()) == {"1.0"}


async def test_very_much_that_ended_long_ago_keeps_no_sync_waiting(database: Database) -> None:
    """What is due comes between portions of it, of which the start waits for one; the rest goes by itself."""
    artifact = await add_artifact(database, "example.com/app")
    old = {"artifact_id": artifact.id, "digest": "", "start_time": NOW - _LONG, "end_time": NOW - _LONG}
    async with database.write() as session:
        rows = [old | {"name": f"t{number}"} for number in range(3 * held.BATCH)]
        await session.exec(insert(TagRevision), params=rows)
        await session.exec(update(Artifact).values(next_sync_time=NOW, planned_by="@hourly UTC"))
    ticker = Ticker(
        database,
        LockHealth(LeaseRows(database), SyncMeasures(CollectorRegistry())),
        schedule=Schedule("@hourly", UTC),
        limits=Limits(),
        now=lambda: NOW,
        wake=lambda: None,
    )

    async def left() -> int:
        async with database.read() as session:
            return (await session.exec(select(func.count(TagRevision.id)))).one()

    async def gone() -> bool:
        return await left() == 0

    assert await ticker.tidy()
    await ticker.tick()
    assert await left() == 2 * held.BATCH
    assert len(await Claims(database).waiting()) == 1

    ticker.start()
    await until(gone)
    await ticker.stop()
    assert not await ticker.tidy()
