"""What tags stood for, from when to when."""

from datetime import timedelta

from controlplane.sync.limits import Limits
from controlplane.sync.runner import Syncs
from tests.fakes.images import make_image
from tests.fakes.rows import BOTH_DATABASES
from tests.fakes.runs import Runs

pytestmark = BOTH_DATABASES


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
