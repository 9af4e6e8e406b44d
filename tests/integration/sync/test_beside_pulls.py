"""What runs leave of what pulls learn from the upstream meanwhile."""

import asyncio
from datetime import timedelta

from controlplane.catalog.resolve import Resolver
from penstock.v1 import artifact_pb2
from tests.fakes.images import make_image
from tests.fakes.rows import BOTH_DATABASES
from tests.fakes.runs import Runs

pytestmark = BOTH_DATABASES

_MINUTE = timedelta(minutes=1)


async def _pull(runs: Runs, tag: str) -> str:
    """Resolves a tag a minute later, as a pull does; gives its digest."""
    runs.now += _MINUTE
    resolver = Resolver(runs.database, runs.access, now=lambda: runs.now)
    found = await resolver.manifest(runs.artifact.uid, tag)
    await resolver.stop()
    runs.now += _MINUTE
    return found.digest


async def test_a_run_leaves_what_a_pull_learned_later(runs: Runs) -> None:
    """Two tags move between a run's HEAD and its write: one that is held, one that is not yet."""
    runs.add(make_image(seed=1), "held")
    await runs.follow(max_tag_age=_MINUTE / 2, revalidate_before_answer=True)
    await runs.sync()
    old = runs.add(make_image(seed=2), "held", "new")
    opened = asyncio.Event()
    runs.fake.faults.add("manifests", method="GET", reference=str(old.digest), pause_after=1, gate=opened)
    run = asyncio.create_task(runs.sync())
    # A HEAD each, and the GET that waits.
    await runs.fake.asked("manifests", 3)
    latest = str(runs.add(make_image(seed=3), "held", "new").digest)

    assert [await _pull(runs, tag) for tag in ("held", "new")] == [latest] * 2
    opened.set()
    job = await run

    assert job.state == artifact_pb2.SyncJob.SUCCEEDED
    assert await runs.tags() == {"held": latest, "new": latest}
    assert [row.end_time <= runs.now for row in await runs.history("held")] == [True]
    assert (await runs.sync()).tags_moved == 0
