"""Signatures and SBOMs of what is held are held as well."""

import asyncio
from datetime import timedelta

import pytest
from sqlmodel import update

from controlplane.catalog import held
from controlplane.catalog.resolve import Resolver
from controlplane.model.artifact_tables import Artifact
from penstock.v1 import artifact_pb2
from tests.fakes.images import Image, make_artifact, make_image, make_index
from tests.fakes.rows import BOTH_DATABASES
from tests.fakes.runs import Runs

pytestmark = BOTH_DATABASES

_Job = artifact_pb2.SyncJob
_LATER = timedelta(minutes=10)


def _signature(subject: Image, what: str = "") -> Image:
    return make_artifact("application/vnd.example.signature", what.encode() or b"x", subject=subject)


async def test_referrers_come_with_what_they_refer_to(runs: Runs) -> None:
    """Of tags that are new or moved, and theirs in turn: a signature of an SBOM."""
    image = runs.add(make_image(seed=1), "1.0")
    sbom = runs.add(make_artifact(subject=image))
    signature = runs.add(_signature(sbom))

    job = await runs.sync()

    assert job.state == _Job.SUCCEEDED
    assert await runs.manifests() == {str(it.digest) for it in (image, sbom, signature)}
    assert job.requests["referrers"] > 0

    moved = runs.add(make_image(seed=2), "1.0")
    new = runs.add(_signature(moved))
    await runs.sync(later=_LATER)
    assert str(new.digest) in await runs.manifests()


async def test_an_unchanged_repository_is_not_asked_for_referrers(runs: Runs) -> None:
    """Only each six hours, for all that is tagged; then what was signed later is found."""
    image = runs.add(make_image(seed=1), "1.0", "latest")
    runs.add(make_image(seed=2), "2.0")
    await runs.sync()
    late = runs.add(_signature(image))

    job = await runs.sync(later=_LATER)
    assert job.requests == {"tag_pages": 1, "manifest_heads": 3}
    assert str(late.digest) not in await runs.manifests()

    job = await runs.sync(later=timedelta(hours=6))
    assert job.requests == {"tag_pages": 1, "manifest_heads": 3, "referrers": 3, "manifest_gets": 1}
    assert str(late.digest) in await runs.manifests()


async def test_registries_without_the_api_are_asked_once_and_keep_them_under_tags(runs: Runs) -> None:
    """Their listing names these tags, which are synced like others: a HEAD each, and nothing else."""
    runs.fake.referrers = False
    image = runs.add(make_image(seed=1), "1.0")
    for seed in range(2, 30):
        runs.add(make_image(seed=seed), f"{seed}.0")
    signature = _signature(image)
    runs.add(make_index([signature]), str(image.digest).replace(":", "-"))

    job = await runs.sync()

    assert (job.state, job.tags_new) == (_Job.SUCCEEDED, 30)
    assert 1 <= job.requests["referrers"] <= 8
    assert str(signature.digest) in await runs.manifests()


async def test_referrers_that_cannot_be_asked_for_are_made_up_for(runs: Runs) -> None:
    """The tags are in place, the job says what is missing, and the next one brings it."""
    image = runs.add(make_image(seed=1), "1.0")
    signature = runs.add(_signature(image))
    runs.fake.faults.add("referrers", status=503)

    job = await runs.sync()
    assert (job.state, set(await runs.tags())) == (_Job.PARTIAL, {"1.0"})
    assert "referrers" in job.error

    runs.fake.faults.clear()
    assert (await runs.sync(later=_LATER)).state == _Job.SUCCEEDED
    assert str(signature.digest) in await runs.manifests()


async def test_a_referrer_that_cannot_be_served_is_left_out(runs: Runs) -> None:
    """It harms neither its subject nor the other referrers."""
    image = runs.add(make_image(seed=1), "1.0")
    good, bad = runs.add(_signature(image, "good")), runs.add(_signature(image, "bad"))
    runs.fake.faults.add("manifests", reference=str(bad.digest), corrupt_at=30)

    assert (await runs.sync()).state == _Job.SUCCEEDED
    assert await runs.manifests() == {str(image.digest), str(good.digest)}


async def test_junk_in_place_of_referrers_is_no_failure(runs: Runs) -> None:
    """Web servers answer every path with a page; that is taken for not having the API."""
    for seed in range(40):
        runs.add(make_image([b"x"], seed=seed), f"{seed}.0")
    runs.fake.faults.add("referrers", body=b"<html>", headers={"Content-Type": "text/html"})
    job = await runs.sync()
    assert job.state == _Job.SUCCEEDED
    assert job.requests["referrers"] < 20


async def test_referrers_of_a_moved_tag_are_made_up_for(runs: Runs) -> None:
    """Not only of a first sync: the next run asks again, and not the one six hours later."""
    runs.add(make_image(seed=1), "1.0")
    await runs.sync()
    signature = runs.add(_signature(runs.add(make_image(seed=2), "1.0")))
    runs.fake.faults.add("referrers", status=503)
    assert (await runs.sync(later=_LATER)).state == _Job.PARTIAL

    runs.fake.faults.clear()
    assert (await runs.sync(later=_LATER)).state == _Job.SUCCEEDED
    assert str(signature.digest) in await runs.manifests()
    assert "referrers" not in (await runs.sync(later=_LATER)).requests


async def test_a_subject_whose_referrers_cannot_be_listed_is_left_out(runs: Runs) -> None:
    """One that somebody signed without end keeps no other image's signatures away."""
    images = [runs.add(make_image(seed=seed), f"{seed}.0") for seed in range(1, 13)]
    signatures = {str(runs.add(_signature(image)).digest) for image in images}
    broken = images[0]
    runs.fake.faults.add("referrers", reference=str(broken.digest), body=b"[]")

    assert (await runs.sync()).state == _Job.SUCCEEDED

    assert len(signatures - await runs.manifests()) == 1


async def test_a_run_that_is_cut_before_referrers_is_made_up_for(runs: Runs) -> None:
    """Its tags are in place, so that nothing is new to the next run but what it did not come to."""
    runs.add(make_image(seed=1), "1.0")
    await runs.sync()
    signature = runs.add(_signature(runs.add(make_image(seed=2), "2.0")))
    runs.fake.faults.add("referrers", pause_after=0, gate=asyncio.Event())
    runs.fake.requests.clear()
    cut = asyncio.create_task(runs.sync(later=_LATER))
    await runs.fake.asked("referrers", 1)
    assert set(await runs.tags()) == {"1.0", "2.0"}
    cut.cancel()
    await asyncio.gather(cut, return_exceptions=True)

    runs.fake.faults.clear()
    job = await runs.sync(later=_LATER)

    assert (job.state, job.tags_unchanged) == (_Job.SUCCEEDED, 2)
    assert str(signature.digest) in await runs.manifests()
    assert "referrers" not in (await runs.sync(later=_LATER)).requests


async def test_a_run_whose_upstream_gave_up_between_tags_is_made_up_for(runs: Runs) -> None:
    """What it got before it was told to leave the upstream alone is signed as well."""
    runs.add(make_image(seed=1), "1.0")
    await runs.sync()
    signature = runs.add(_signature(runs.add(make_image(seed=2), "2.0")))
    refused = runs.add(make_image(seed=3), "3.0")
    runs.fake.faults.add(
        "manifests", method="GET", reference=str(refused.digest), status=429, headers={"Retry-After": "0"}
    )
    assert (await runs.sync(later=_LATER)).state == _Job.PARTIAL

    runs.fake.faults.clear()
    assert (await runs.sync(later=_LATER)).state == _Job.SUCCEEDED
    assert str(signature.digest) in await runs.manifests()


async def test_a_run_goes_on_with_referrers_where_the_one_before_ended(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repository whose referrers take longer than one run may is through with them after some."""
    monkeypatch.setattr(held, "BATCH", 2)
    images = sorted(
        (runs.add(make_image(seed=seed), f"{seed}.0") for seed in range(6)), key=lambda it: it.digest
    )
    runs.fake.faults.add("referrers", reference=str(images[3].digest), status=503)
    assert (await runs.sync()).state == _Job.PARTIAL

    runs.fake.faults.clear()
    job = await runs.sync(later=_LATER)

    assert (job.state, job.requests["referrers"]) == (_Job.SUCCEEDED, 4)
    assert "referrers" not in (await runs.sync(later=_LATER)).requests


async def test_referrers_of_what_a_pull_brought_come_with_the_next_run(runs: Runs) -> None:
    """The tag is not new to the run; that nobody asked for its signatures is."""
    runs.add(make_image(seed=1), "1.0")
    await runs.sync()
    signature = runs.add(_signature(runs.add(make_image(seed=2), "2.0")))
    resolver = Resolver(runs.database, runs.access, now=lambda: runs.now)
    await resolver.manifest(runs.artifact.uid, "2.0")
    await resolver.stop()

    await runs.sync(later=_LATER)

    assert str(signature.digest) in await runs.manifests()


async def test_referrers_are_asked_for_after_a_clock_was_ahead(runs: Runs) -> None:
    """That all were asked for at a time to come keeps nothing away until then."""
    image = runs.add(make_image(seed=1), "1.0")
    runs.now += timedelta(days=365)
    await runs.sync()
    late = runs.add(_signature(image))

    await runs.sync(later=-timedelta(days=300))

    assert str(late.digest) in await runs.manifests()


@pytest.mark.parametrize("refused", [False, True])
async def test_what_an_older_replica_left_is_made_up_for(runs: Runs, refused: bool) -> None:
    """It says at the artifact that referrers are due, also where the first run that sees that is refused."""
    image = runs.add(make_image(seed=1), "1.0", "latest")
    await runs.sync()
    late = runs.add(_signature(image))
    async with runs.database.write() as session:
        await session.exec(update(Artifact).values(referrers_seen_time=None))
    if refused:
        runs.fake.faults.add("referrers", status=503)
        await runs.sync(later=_LATER)
        runs.fake.faults.clear()

    job = await runs.sync(later=_LATER)

    assert str(late.digest) in await runs.manifests()
    # Of the image, and of what it has.
    assert job.requests["referrers"] == 2
    assert "referrers" not in (await runs.sync(later=_LATER)).requests
