"""What goes wrong at an upstream costs the tags it concerns, is said, and is mended by the next run."""

import json

import pytest

from clients.oci.digest import Digest
from clients.oci.media_types import OCI_INDEX, OCI_MANIFEST
from penstock.v1 import artifact_pb2
from tests.fakes.images import Image, make_image, make_index
from tests.fakes.rows import read_artifact
from tests.fakes.synced import Bench
from tests.fakes.waiting import until

_Job = artifact_pb2.SyncJob


async def test_a_failing_tag_does_not_stop_the_others(bench: Bench) -> None:
    """The job is partial and names the tag with the reason; the next run gets it and clears the error."""
    images = {f"v{number}": bench.add(make_image(seed=number), f"v{number}") for number in range(20)}
    bench.fake.faults.add("manifests", reference="v7", status=500)

    job = await bench.sync()

    assert (job.state, job.tags_failed, job.tags_new, job.tags_done) == (_Job.PARTIAL, 1, 19, 20)
    assert [error["tag"] for error in job.tag_errors] == ["v7"]
    assert bench.fake.host in job.tag_errors[0]["reason"]
    assert set(await bench.tags()) == set(images) - {"v7"}
    shown = await read_artifact(bench.database, bench.artifact)
    assert "v7" in shown.last_sync_error
    assert shown.last_sync_time is None

    bench.fake.faults.clear()
    job = await bench.sync()
    assert (job.state, job.tags_new, job.tags_unchanged) == (_Job.SUCCEEDED, 1, 19)
    shown = await read_artifact(bench.database, bench.artifact)
    assert (shown.last_sync_error, shown.last_sync_time) == ("", job.end_time)


async def test_a_tag_whose_head_names_something_else_stays(bench: Bench) -> None:
    """What the upstream does not have, or has other bytes of, moves no tag; the next run makes up for it."""
    old = bench.add(make_image(seed=1), "latest")
    await bench.sync()
    new = bench.add(make_image(seed=2), "latest")
    other = make_image(seed=3)
    bench.fake.faults.add("manifests", method="HEAD", headers={"Docker-Content-Digest": str(other.digest)})
    for body in (None, new.manifest):
        bench.fake.faults.add("manifests", reference=str(other.digest), status=body and 200, body=body)
        job = await bench.sync()
        assert (job.state, job.tags_failed) == (_Job.FAILED, 1)
        assert await bench.tags() == {"latest": str(old.digest)}

    bench.fake.faults.clear()
    assert (await bench.sync()).state == _Job.SUCCEEDED
    assert await bench.tags() == {"latest": str(new.digest)}


async def test_a_failing_child_fails_its_tag_and_leaves_the_old_one(bench: Bench) -> None:
    """A tag does not move to an index that is there by half."""
    old = bench.add(make_index([make_image(seed=1)]), "latest")
    await bench.sync()
    new = bench.add(make_index([make_image(seed=2), make_image(seed=3)]), "latest")
    bench.fake.faults.add("manifests", method="GET", reference=str(new.children[1].digest), status=500)

    job = await bench.sync()
    assert (job.state, job.tags_failed) == (_Job.FAILED, 1)
    assert await bench.tags() == {"latest": str(old.digest)}

    bench.fake.faults.clear()
    job = await bench.sync()
    assert (job.state, job.tags_moved) == (_Job.SUCCEEDED, 1)
    assert await bench.tags() == {"latest": str(new.digest)}


@pytest.mark.parametrize(
    "image",
    [
        Image(b"this is not JSON", OCI_MANIFEST),
        Image(b'{"schemaVersion": 2}', "application/vnd.example.unknown"),
        Image(b'{"schemaVersion": 2, "manifests": [], "layers": [], "config": {}}', OCI_INDEX),
        Image(b'{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+prettyjws"),
        Image(b'{"schemaVersion": 2, "pad": "' + b"x" * (5 * 1024 * 1024) + b'"}', OCI_MANIFEST),
    ],
    ids=["no-json", "unknown-type", "ambiguous", "schema-1", "huge"],
)
async def test_a_manifest_that_cannot_be_served_fails_its_tag_alone(bench: Bench, image: Image) -> None:
    """Whatever somebody pushed as one tag, the others are in place."""
    good = bench.add(make_image(), "good")
    bench.fake.repositories["team/app"].manifests[str(image.digest)] = image
    bench.fake.repositories["team/app"].tags["bad"] = str(image.digest)

    job = await bench.sync()

    assert (job.state, job.tags_failed, job.tags_new) == (_Job.PARTIAL, 1, 1)
    assert job.tag_errors[0]["tag"] == "bad"
    assert await bench.tags() == {"good": str(good.digest)}
    assert await bench.manifests() == {str(good.digest)}


async def test_bytes_that_their_digest_does_not_name_are_not_kept(bench: Bench) -> None:
    """A manifest that was changed on the way fails its tag, and is right the next time."""
    image = bench.add(make_image(), "1.0")
    bench.fake.faults.add("manifests", method="GET", corrupt_at=30)

    job = await bench.sync()
    assert (job.state, job.tags_failed) == (_Job.FAILED, 1)
    assert await bench.manifests() == set()

    bench.fake.faults.clear()
    assert (await bench.sync()).state == _Job.SUCCEEDED
    assert await bench.tags() == {"1.0": str(image.digest)}


async def test_an_index_without_end_fails_its_tag(bench: Bench) -> None:
    """Nesting is followed as far as anybody nests, and no further."""
    bench.add(make_image(seed=99), "good")
    nested = make_image()
    for _ in range(6):
        nested = bench.add(make_index([nested]))
    bench.add(nested, "deep")

    job = await bench.sync()

    assert (job.state, [error["tag"] for error in job.tag_errors]) == (_Job.PARTIAL, ["deep"])
    assert "deep" in job.error
    assert set(await bench.tags()) == {"good"}


async def test_an_index_of_too_many_manifests_fails_its_tag(bench: Bench) -> None:
    """One tag cannot make a run fetch without end."""
    bench.add(make_index([Image(b"%d" % number, OCI_MANIFEST) for number in range(1500)]), "wide")

    job = await bench.sync()

    assert job.tags_failed == 1
    assert bench.fake.count("GET", "manifests") == 1


async def test_an_index_that_claims_to_contain_itself_ends(bench: Bench) -> None:
    """A registry that answers every digest with one index cannot make a run go in circles."""
    index = bench.add(make_index([make_image()]), "1.0")
    manifests = bench.fake.repositories["team/app"].manifests
    manifests[str(index.children[0].digest)] = index

    job = await bench.sync()

    assert job.tags_failed == 1
    assert await bench.manifests() == {str(index.digest)}


async def test_a_dead_upstream_fails_the_job_and_takes_nothing_away(bench: Bench) -> None:
    """What was held is still held, and the reason is shown at the artifact."""
    bench.add(make_image(), "1.0")
    await bench.sync()
    tags = await bench.tags()
    await bench.fake.stop()

    job = await bench.sync()

    assert job.state == _Job.FAILED
    assert bench.fake.host in job.error
    assert (await read_artifact(bench.database, bench.artifact)).last_sync_error == job.error
    assert await bench.tags() == tags


async def test_a_repository_that_is_gone_fails_the_job(bench: Bench) -> None:
    """It is not taken for a repository without tags."""
    bench.add(make_image(), "1.0")
    await bench.sync()
    bench.fake.repositories.clear()

    assert (await bench.sync()).state == _Job.FAILED
    assert set(await bench.tags()) == {"1.0"}


async def test_an_upstream_that_breaks_down_is_left_alone(bench: Bench) -> None:
    """Two hundred tags are not each tried against a server that answers none of them."""
    for number in range(200):
        bench.add(make_image([b"x"], seed=number), f"v{number:03}")
    bench.fake.faults.add("manifests", status=503)

    job = await bench.sync()

    assert job.state == _Job.FAILED
    assert job.tags_total == 200
    assert job.tags_done < 50
    assert bench.fake.host in job.error


async def test_a_rate_limit_ends_the_run(bench: Bench) -> None:
    """An upstream that asks for fewer requests gets none for the rest."""
    for number in range(200):
        bench.add(make_image([b"x"], seed=number), f"v{number:03}")
    bench.fake.faults.add("manifests", reference="v100", status=429, headers={"Retry-After": "60"})

    job = await bench.sync()

    assert job.state == _Job.PARTIAL
    assert job.tags_done < 200
    assert len(await bench.tags()) == job.tags_new > 0


async def test_a_stalled_upstream_ends_at_the_time_out(bench: Bench) -> None:
    """What was learned by then is in place, and the setting is named."""
    for number in range(20):
        bench.add(make_image([b"x"], seed=number), f"v{number}")
    bench.fake.faults.add("manifests", reference="v7", stall=True)

    job = await bench.sync(timeout=1.5)

    assert (job.state, job.tags_done) == (_Job.PARTIAL, 19)
    assert "REGISTRY_UPSTREAM_SYNC_TIMEOUT" in job.error
    assert len(await bench.tags()) == 19


async def test_a_stalled_tag_keeps_no_other_waiting(bench: Bench) -> None:
    """Tags that were fetched are served while one that hangs is still waited for."""
    bench.add(make_image(seed=1), "good")
    bench.add(make_image(seed=2), "hangs")
    bench.fake.faults.add("manifests", reference="hangs", stall=True)

    async def served() -> bool:
        return set(await bench.tags()) == {"good"}

    async with bench.running() as syncs:
        await bench.request(syncs)
        await until(served)


async def test_a_listing_that_never_ends_ends_at_the_time_out(bench: Bench) -> None:
    """Nothing was learned, and nothing is changed."""
    bench.add(make_image(), "1.0")
    bench.fake.faults.add("tags", stall=True)

    job = await bench.sync(timeout=0.5)

    assert job.state == _Job.FAILED
    assert await bench.tags() == {}


async def test_layers_that_say_they_are_as_large_as_a_number_can_be(bench: Bench) -> None:
    """An upstream may write what it likes: the sum is as large as can be kept, and the run ends well."""
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "size": 2**63 - 1}
    layers = [{**layer, "digest": str(Digest.of(bytes([number])))} for number in range(3)]
    document = json.loads(make_image().manifest) | {"layers": layers}
    bench.add(Image(json.dumps(document).encode(), OCI_MANIFEST), "huge")

    job = await bench.sync()

    assert (job.state, job.tags_new) == (_Job.SUCCEEDED, 1)
    assert (await read_artifact(bench.database, bench.artifact)).size_bytes == 2**63 - 1
