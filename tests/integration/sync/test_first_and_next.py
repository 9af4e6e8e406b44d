"""A first sync takes what the upstream has; the next ones take what is new, and nothing else."""

import pytest
from sqlalchemy import Connection, Engine, event

from controlplane.sync import tags
from penstock.v1 import artifact_pb2
from tests.fakes.images import make_artifact, make_chart, make_image, make_index
from tests.fakes.rows import read_artifact
from tests.fakes.synced import Bench

_Job = artifact_pb2.SyncJob


def _index(seed: int):
    return make_index(
        [make_image([b"a", b"b"], ("linux", machine), seed) for machine in ("amd64", "arm64", "s390x")]
    )


async def test_a_first_sync_takes_everything(bench: Bench) -> None:
    """Tags over several pages, with their manifests and the children of indexes."""
    index, image, chart = _index(1), make_image(seed=2), make_chart()
    bench.add(index, "1.0", "1", "latest")
    bench.add(image, "0.9")
    bench.add(chart, "chart-1.2.3")
    bench.add(make_artifact(), "sbom")
    bench.fake.page_size = 2

    job = await bench.sync()

    assert (job.state, job.error) == (_Job.SUCCEEDED, "")
    assert (job.tags_total, job.tags_done, job.tags_new) == (6, 6, 6)
    assert (job.tags_moved, job.tags_unchanged, job.tags_failed, job.tags_removed) == (0, 0, 0, 0)
    assert job.manifests_fetched == 7
    assert job.start_time is not None
    assert job.end_time is not None
    upstream = bench.fake.repositories["team/app"]
    assert await bench.tags() == upstream.tags
    assert await bench.manifests() == set(upstream.manifests)
    # One index under three tags is fetched once.
    assert bench.fake.count("GET", "manifests") == 7


async def test_an_unchanged_repository_costs_one_head_a_tag(bench: Bench) -> None:
    """No manifest is fetched, no tag is written, no node is told anything."""
    for number in range(40):
        bench.add(_index(number), f"{number}.0", f"{number}")
    await bench.sync()
    before = await bench.revisions()
    bench.fake.requests.clear()

    job = await bench.sync()

    assert job.state == _Job.SUCCEEDED
    assert (job.tags_unchanged, job.tags_done, job.manifests_fetched) == (80, 80, 0)
    assert bench.fake.totals() == {"GET tags": 1, "HEAD manifests": 80}
    assert await bench.revisions() == before


async def test_a_moved_tag_brings_its_manifest_and_tells_nodes(bench: Bench) -> None:
    """Only what is new is fetched; what the tag stood for stays held."""
    first, second = _index(1), _index(2)
    bench.add(first, "1", "latest")
    await bench.sync()
    content, revision = await bench.revisions()
    bench.add(second, "latest")
    bench.fake.requests.clear()

    job = await bench.sync()

    assert (job.tags_moved, job.tags_unchanged, job.tags_new) == (1, 1, 0)
    assert await bench.tags() == {"1": str(first.digest), "latest": str(second.digest)}
    assert bench.fake.count("GET", "manifests") == 4
    assert await bench.revisions() == (content + 1, revision + 1)
    assert str(first.digest) in await bench.manifests()


async def test_a_tag_that_moves_to_something_held_fetches_nothing(bench: Bench) -> None:
    """A release that is tagged `latest` later costs a HEAD."""
    one, two = _index(1), _index(2)
    bench.add(one, "1", "latest")
    bench.add(two, "2")
    await bench.sync()
    bench.add(two, "latest")
    bench.fake.requests.clear()

    job = await bench.sync()

    assert (job.tags_moved, job.manifests_fetched) == (1, 0)
    assert bench.fake.count("GET", "manifests") == 0
    assert (await bench.tags())["latest"] == str(two.digest)


async def test_tags_gone_upstream_stay(bench: Bench) -> None:
    """What somebody may be running is not taken away because the upstream stopped listing it."""
    kept, gone = bench.add(_index(1), "kept"), bench.add(_index(2), "gone")
    await bench.sync()
    bench.fake.remove_tag("team/app", "gone")

    job = await bench.sync()

    assert (job.state, job.tags_total, job.tags_removed) == (_Job.SUCCEEDED, 1, 0)
    assert await bench.tags() == {"kept": str(kept.digest), "gone": str(gone.digest)}


async def test_an_empty_repository_is_synced_well(bench: Bench) -> None:
    """No tags are no error."""
    job = await bench.sync()
    assert (job.state, job.tags_total) == (_Job.SUCCEEDED, 0)
    assert (await read_artifact(bench.database, bench.artifact)).last_sync_time == job.end_time


async def test_a_registry_whose_head_has_no_digest_is_asked_by_get(bench: Bench) -> None:
    """Some registries leave the digest out; the tag is then compared by what it gives."""
    index = bench.add(_index(1), "1.0")
    bench.fake.faults.add("manifests", method="HEAD", headers={"Docker-Content-Digest": None})

    assert (await bench.sync()).tags_new == 1
    assert await bench.tags() == {"1.0": str(index.digest)}
    assert await bench.manifests() == set(bench.fake.repositories["team/app"].manifests)

    before = await bench.revisions()
    job = await bench.sync()
    assert (job.tags_unchanged, job.manifests_fetched) == (1, 0)
    assert await bench.revisions() == before


async def test_nested_indexes_are_followed_to_the_images(bench: Bench) -> None:
    """An index of indexes is held whole."""
    inner = bench.add(_index(1))
    outer = bench.add(make_index([inner, make_image(seed=9)]), "1.0")

    job = await bench.sync()

    assert (job.state, job.manifests_fetched) == (_Job.SUCCEEDED, 6)
    assert await bench.manifests() == set(bench.fake.repositories["team/app"].manifests)
    assert await bench.tags() == {"1.0": str(outer.digest)}


async def test_a_child_that_the_upstream_lacks_is_left_out_until_it_has_it(bench: Bench) -> None:
    """An index whose platforms were not all copied is served as the upstream serves it."""
    index = _index(1)
    bench.add(index, "1.0")
    missing = bench.fake.repositories["team/app"].manifests.pop(str(index.children[2].digest))

    assert (await bench.sync()).state == _Job.SUCCEEDED
    assert await bench.tags() == {"1.0": str(index.digest)}
    assert str(missing.digest) not in await bench.manifests()

    bench.add(missing)
    job = await bench.sync()
    assert (job.tags_unchanged, job.manifests_fetched) == (1, 1)
    assert str(missing.digest) in await bench.manifests()


async def test_a_sync_completes_what_pulls_began(bench: Bench) -> None:
    """An index that a pull brought without its children has them after the next sync."""
    index = bench.add(_index(1), "1.0")
    await bench.pull("1.0")
    assert await bench.manifests() == {str(index.digest)}

    job = await bench.sync()

    assert (job.tags_unchanged, job.manifests_fetched) == (1, 3)
    assert len(await bench.manifests()) == 4


async def test_many_tags_are_written_in_batches(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """More tags than fit one look at the tables, or one transaction."""
    monkeypatch.setattr(tags, "_CHUNK", 50)
    for number in range(110):
        bench.add(make_image([b"x"], seed=number % 60), f"v{number}")

    job = await bench.sync()

    assert (job.state, job.tags_new, job.manifests_fetched) == (_Job.SUCCEEDED, 110, 60)
    assert await bench.tags() == bench.fake.repositories["team/app"].tags
    # A batch holds many tags, and nodes are told once for each batch.
    assert (await bench.revisions())[0] < 30


async def test_what_is_summed_up_keeps_nobody_from_writing(bench: Bench) -> None:
    """How much an artifact holds takes seconds to say where it is much: no writer waits for it."""
    bench.add(_index(1), "1.0")
    sums: list[bool] = []

    def note(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if "sum(" in statement:
            sums.append(bool(connection.get_execution_options().get("penstock_writes")))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await bench.sync()
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert sums
    assert not any(sums)
    assert (await read_artifact(bench.database, bench.artifact)).size_bytes > 0
