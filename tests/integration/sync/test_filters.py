"""What an artifact's filters leave out is not asked for; what they let through is."""

from clients.oci.media_types import OCI_INDEX
from penstock.v1 import artifact_pb2
from tests.fakes.images import Image, make_artifact, make_image, make_index
from tests.fakes.runs import Runs

_Job = artifact_pb2.SyncJob
_PLATFORMS = (("linux", "amd64"), ("linux", "arm64", "v8"), ("linux", "arm", "v7"), ("windows", "amd64"))


async def test_tags_are_chosen_by_pattern_range_and_number(runs: Runs) -> None:
    """The filters hold together; the job counts what they leave out, and nothing is asked about it."""
    for number, tag in enumerate(("1.0.0", "1.1.0", "1.2.0", "1.3.0-rc.1", "2.0.0", "latest", "1.2.0-debug")):
        runs.add(make_image(seed=number), tag)
    await runs.follow(include_tags=("1.*", "2.*"), exclude_tags=("*-debug",), version_range="<2", newest=2)

    job = await runs.sync()

    assert set(await runs.tags()) == {"1.2.0", "1.1.0"}
    assert (job.state, job.tags_total, job.tags_skipped, job.tags_done) == (_Job.SUCCEEDED, 7, 5, 7)
    assert job.requests["manifest_heads"] == 2


async def test_what_a_narrower_filter_leaves_out_stays_and_is_not_asked_for(runs: Runs) -> None:
    """Filters say what syncs bring, and take nothing away; what goes upstream goes here."""
    runs.add(make_image(seed=1), "1.0")
    runs.add(make_image(seed=2), "2.0")
    runs.add(make_image(seed=3), "3.0")
    await runs.sync()
    await runs.follow(newest=1)

    job = await runs.sync()
    assert (job.tags_skipped, job.requests["manifest_heads"], job.tags_removed) == (2, 1, 0)
    assert len(await runs.tags()) == 3
    assert (await runs.tag("1.0")).left_out

    runs.remove("1.0")
    await runs.sync()
    assert (await runs.sync()).tags_removed == 1


async def test_only_wanted_platforms_are_brought(runs: Runs) -> None:
    """The index is held byte for byte; children of other platforms are not fetched, now or later."""
    images = [make_image(platform=platform, seed=seed) for seed, platform in enumerate(_PLATFORMS)]
    index = runs.add(make_index(images), "1.0")
    await runs.follow(platforms=("linux/amd64", "linux/arm64"))

    job = await runs.sync()

    wanted = {str(image.digest) for image in (index, *images[:2])}
    assert (job.state, await runs.manifests()) == (_Job.SUCCEEDED, wanted)
    job = await runs.sync()
    assert (job.tags_unchanged, "manifest_gets" in job.requests) == (1, False)

    await runs.follow(platforms=("linux/amd64", "linux/arm/v7"))
    assert (await runs.sync()).requests["manifest_gets"] == 1
    assert str(images[2].digest) in await runs.manifests()


async def test_signatures_under_tags_follow_what_they_sign(runs: Runs) -> None:
    """Whatever the filters say of their names; those of tags that are left out are left out."""
    runs.fake.referrers = False
    wanted, other = runs.add(make_image(seed=1), "1.0"), runs.add(make_image(seed=2), "dev")
    signature = make_artifact(payload=b"mine", subject=wanted)
    runs.add(_listing(signature), _tag(wanted))
    runs.add(make_image(seed=3), f"{_tag(wanted)}.sig")
    runs.add(_listing(make_artifact(payload=b"another", subject=other)), _tag(other))
    await runs.follow(version_range=">=1")

    job = await runs.sync()

    assert set(await runs.tags()) == {"1.0", _tag(wanted), f"{_tag(wanted)}.sig"}
    assert str(signature.digest) in await runs.manifests()
    assert (job.state, job.tags_skipped, job.tags_done) == (_Job.SUCCEEDED, 2, 5)


def _tag(image: Image) -> str:
    return str(image.digest).replace(":", "-")


def _listing(referrer: Image) -> Image:
    index = make_index([referrer])
    assert index.media_type == OCI_INDEX
    return index
