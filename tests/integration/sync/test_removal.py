"""Tags that the upstream lists no more: what ends them, and what does not."""

import itertools

import pytest

from penstock.v1 import artifact_pb2
from tests.fakes.images import make_artifact, make_image, make_index
from tests.fakes.rows import BOTH_DATABASES
from tests.fakes.runs import Runs

pytestmark = BOTH_DATABASES

_Job = artifact_pb2.SyncJob


async def _three(runs: Runs) -> None:
    for number in range(3):
        runs.add(make_image(seed=number), f"{number}.0")
    assert (await runs.sync()).state == _Job.SUCCEEDED


async def test_a_tag_goes_when_two_runs_in_a_row_missed_it(runs: Runs) -> None:
    """The first says that it is missing, the second removes it, and nodes are told."""
    await _three(runs)
    runs.remove("1.0")

    first = await runs.sync()
    assert (first.state, first.tags_missing, first.tags_removed) == (_Job.SUCCEEDED, 1, 0)
    assert set(await runs.tags()) == {"0.0", "1.0", "2.0"}
    revision = (await runs.row()).content_revision

    second = await runs.sync()
    assert (second.state, second.tags_missing, second.tags_removed) == (_Job.SUCCEEDED, 0, 1)
    assert set(await runs.tags()) == {"0.0", "2.0"}
    assert (await runs.row()).content_revision > revision


async def test_a_tag_that_comes_back_begins_anew(runs: Runs) -> None:
    """Missing, there, missing: that is not twice in a row."""
    await _three(runs)
    runs.remove("1.0")
    await runs.sync()
    runs.add(make_image(seed=1), "1.0")
    await runs.sync()
    runs.remove("1.0")

    assert (await runs.sync()).tags_removed == 0
    assert "1.0" in await runs.tags()
    assert (await runs.sync()).tags_removed == 1


async def test_runs_that_did_not_succeed_do_not_count(runs: Runs) -> None:
    """Neither one that got no listing, nor one in which half of the tags failed."""
    await _three(runs)
    runs.remove("1.0")
    await runs.sync()

    runs.fake.faults.add("tags", status=500)
    assert (await runs.sync()).state == _Job.FAILED
    runs.fake.faults.clear()
    runs.fake.faults.add("manifests", reference="2.0", status=500)
    job = await runs.sync()
    assert (job.state, job.tags_missing, job.tags_removed) == (_Job.PARTIAL, 1, 0)
    assert "1.0" in await runs.tags()

    runs.fake.faults.clear()
    assert (await runs.sync()).tags_removed == 1


async def test_a_tag_that_always_fails_keeps_no_other_from_going(runs: Runs) -> None:
    """It stays as it is, for it is listed; what is not listed goes after two runs."""
    for number in range(4):
        runs.add(make_image(seed=number), f"{number}.0")
    await runs.sync()
    runs.fake.faults.add("manifests", reference="3.0", status=404)
    runs.remove("1.0")

    first, second = await runs.sync(), await runs.sync()

    assert [(job.state, job.tags_failed) for job in (first, second)] == [(_Job.PARTIAL, 1)] * 2
    assert (first.tags_removed, second.tags_removed) == (0, 1)
    assert set(await runs.tags()) == {"0.0", "2.0", "3.0"}


async def test_a_listing_that_breaks_off_takes_nothing_away(runs: Runs) -> None:
    """The tags of the pages that did not come are not missing."""
    await _three(runs)
    runs.fake.page_size = 1
    runs.fake.faults.add("tags", times=1)
    runs.fake.faults.add("tags", status=500)

    for _ in range(3):
        job = await runs.sync()
        assert (job.state, job.tags_missing) == (_Job.FAILED, 0)
    assert len(await runs.tags()) == 3


async def test_a_listing_that_lost_more_than_half_is_held_back(runs: Runs) -> None:
    """However often it comes; the job says so, and a forced sync removes at once."""
    await _three(runs)
    runs.remove("1.0", "2.0")

    for _ in range(3):
        job = await runs.sync()
        assert (job.state, job.tags_missing, job.tags_removed) == (_Job.PARTIAL, 2, 0)
        assert "2 of the 3 tags" in job.error
        assert "--force-removals" in job.error
    assert len(await runs.tags()) == 3

    job = await runs.sync(force=True)
    assert (job.state, job.tags_missing, job.tags_removed, job.error) == (_Job.SUCCEEDED, 0, 2, "")
    assert set(await runs.tags()) == {"0.0"}


async def test_half_of_the_tags_may_go(runs: Runs) -> None:
    """Only more than half is suspicious."""
    runs.add(make_image(seed=1), "a")
    runs.add(make_image(seed=2), "b")
    await runs.sync()
    runs.remove("a")
    await runs.sync()
    assert (await runs.sync()).tags_removed == 1


async def test_with_the_policy_keep_tags_stay(runs: Runs) -> None:
    """For ever, with what they stand for, and counted."""
    await runs.follow(keep_deleted_tags=True)
    await _three(runs)
    runs.remove("0.0", "1.0", "2.0")

    for _ in range(3):
        job = await runs.sync()
        assert (job.state, job.tags_missing, job.tags_removed) == (_Job.SUCCEEDED, 3, 0)
    assert len(await runs.tags()) == 3


async def test_what_only_removed_tags_led_to_is_dropped(runs: Runs) -> None:
    """Children and referrers as well; what another tag or a moved one leads to stays."""
    shared, lone = make_image(seed=1), make_image(platform=("linux", "arm64"), seed=2)
    gone = runs.add(make_index([shared, lone]), "gone")
    kept = runs.add(make_index([shared]), "kept")
    runs.add(make_image(seed=3), "other")
    signature = runs.add(make_artifact(subject=gone))
    before = runs.add(make_image(seed=4), "moves")
    await runs.sync()
    runs.add(make_image(seed=5), "moves")
    await runs.sync()
    assert str(signature.digest) in await runs.manifests()
    runs.remove("gone")
    await runs.sync()
    size = (await runs.row()).size_bytes

    assert (await runs.sync()).tags_removed == 1

    held = await runs.manifests()
    assert held.isdisjoint({str(gone.digest), str(lone.digest), str(signature.digest)})
    assert held >= {str(shared.digest), str(kept.digest), str(before.digest)}
    assert 0 < (await runs.row()).size_bytes < size


async def test_a_removal_that_is_broken_off_leaves_no_digest_behind(runs: Runs) -> None:
    """Wherever a run ends for good: what only a removed tag led to is gone with the tag."""
    kept, inner = runs.add(make_image(seed=2), "kept"), runs.add(make_index([make_image(seed=1)]))
    gone = runs.add(make_index([inner]), "gone")
    runs.add(make_artifact(subject=runs.add(make_artifact(subject=gone))))
    await runs.sync()
    before = await runs.manifests()
    assert len(before) == 6
    runs.remove("gone")
    await runs.sync()
    left = 0

    def break_off() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise InterruptedError

    for writes in itertools.count(1):
        left = writes
        try:
            await runs.sync(written=break_off)
        except InterruptedError:
            there = "gone" in await runs.tags()
            assert await runs.manifests() == (before if there else {str(kept.digest)})
        else:
            break
    assert writes > 1
    assert "gone" not in await runs.tags()


@pytest.mark.slow
async def test_many_tags_are_removed_in_batches(runs: Runs) -> None:
    """More than fit one statement."""
    for number in range(1300):
        runs.add(make_image([b"x"], seed=number), f"v{number}")
    await runs.sync()
    runs.remove(*(f"v{number}" for number in range(600)))
    await runs.sync()

    assert (await runs.sync()).tags_removed == 600
    assert len(await runs.tags()) == len(await runs.manifests()) == 700


async def test_a_signature_that_loses_its_tag_stays_with_what_it_signs(runs: Runs) -> None:
    """It refers to something that is held, whatever it was called."""
    image = runs.add(make_image(seed=1), "1.0")
    signature = runs.add(make_artifact(subject=image), "signature")
    await runs.sync()
    runs.remove("signature")
    await runs.sync()

    assert (await runs.sync()).tags_removed == 1
    assert await runs.manifests() == {str(image.digest), str(signature.digest)}
