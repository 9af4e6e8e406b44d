"""What runs leave of what pulls learn from the upstream meanwhile, and what people want by then."""

import asyncio
from datetime import timedelta

import pytest

from controlplane.catalog import clearing
from controlplane.catalog.resolve import Resolver
from controlplane.sync.emptying import Emptying
from penstock.v1 import artifact_pb2
from tests.fakes.images import Image, make_image
from tests.fakes.rows import BOTH_DATABASES
from tests.fakes.runs import Runs

pytestmark = BOTH_DATABASES

_MINUTE = timedelta(minutes=1)


def _pause(runs: Runs, image: Image) -> asyncio.Event:
    """Has the upstream send a manifest to its end only when the event is set."""
    opened = asyncio.Event()
    runs.fake.faults.add("manifests", method="GET", reference=str(image.digest), pause_after=1, gate=opened)
    return opened


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
    opened = _pause(runs, old)
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


@pytest.mark.parametrize("force", [False, True])
async def test_a_run_keeps_tags_that_came_after_its_listing(runs: Runs, force: bool) -> None:
    """Neither is missing: one that a pull brought, nor one that is back, as a pull has seen."""
    await runs.follow(max_tag_age=_MINUTE / 2, revalidate_before_answer=True)
    back = runs.add(make_image(seed=1), "back", "gone")
    runs.add(make_image(seed=2), "moves", "stays", "too")
    await runs.sync()
    runs.remove("back", "gone")
    await runs.sync()
    opened = _pause(runs, runs.add(make_image(seed=3), "moves"))
    run = asyncio.create_task(runs.sync(force=force))
    # A HEAD for each that is listed, and the GET that waits.
    await runs.fake.asked("manifests", 4)
    runs.add(make_image(seed=4), "new")
    runs.add(back, "back")
    for tag in ("new", "back"):
        await _pull(runs, tag)
    opened.set()
    job = await run

    assert (job.state, job.tags_missing, job.tags_removed) == (artifact_pb2.SyncJob.SUCCEEDED, 0, 1)
    assert set(await runs.tags()) == {"back", "new", "moves", "stays", "too"}


@pytest.mark.parametrize("force", [False, True])
async def test_a_policy_that_begins_to_keep_holds_for_the_run_that_goes_on(runs: Runs, force: bool) -> None:
    """What is removed cannot be had again: who sees it coming can stop it."""
    runs.add(make_image(seed=1), "gone")
    runs.add(make_image(seed=2), "moves", "stays")
    await runs.sync()
    runs.remove("gone")
    await runs.sync()
    opened = _pause(runs, runs.add(make_image(seed=3), "moves"))
    run = asyncio.create_task(runs.sync(force=force))
    await runs.fake.asked("manifests", 3)
    await runs.follow(keep_deleted_tags=True)
    opened.set()
    job = await run

    assert (job.state, job.tags_missing, job.tags_removed) == (artifact_pb2.SyncJob.SUCCEEDED, 1, 0)
    assert set(await runs.tags()) == {"gone", "moves", "stays"}


async def test_an_artifact_that_was_emptied_under_a_run_is_whole_after_the_next(runs: Runs) -> None:
    """The run had seen its manifests, and wrote a tag of one that was dropped meanwhile."""
    image = runs.add(make_image(seed=1), "1.0")
    await runs.sync()
    runs.add(image, "same")
    opened = _pause(runs, runs.add(make_image(seed=2), "1.0"))
    runs.fake.requests.clear()
    run = asyncio.create_task(runs.sync())
    # A HEAD each, and the GET that waits.
    await runs.fake.asked("manifests", 3)
    # It looks up what is held, and tells nobody.
    await asyncio.sleep(0.2)
    taken = Emptying("emptying", "ann@example.com", lambda: runs.now)
    await clearing.clear(runs.database, await runs.row(), lambda: runs.now, taken.take)
    opened.set()
    await run

    await runs.sync()

    assert set(await runs.tags()) == {"1.0", "same"}
    assert set((await runs.tags()).values()) <= await runs.manifests()
