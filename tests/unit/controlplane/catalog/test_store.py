"""What is written of manifests and tags, and what nodes are told of it."""

import pytest
from sqlmodel import select

from clients.oci.manifest import Manifest
from controlplane.catalog import held, store, tagging
from controlplane.catalog.store import ArtifactChanged
from controlplane.catalog.tagging import TagChanges
from controlplane.model import artifact_tables as tables
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from tests.fakes.images import Image, make_artifact, make_chart, make_image, make_index
from tests.fakes.rows import NOW, add, add_artifact, read_artifact, read_tags


def _manifest(image: Image) -> Manifest:
    return Manifest.parse(image.manifest, image.media_type)


async def _save(database: Database, artifact: tables.Artifact, *images: Image) -> None:
    async with database.write() as session:
        await store.save_manifests(session, saved_id(artifact), [_manifest(image) for image in images], NOW)


async def _tag(database: Database, artifact: tables.Artifact, tags: dict[str, str]) -> TagChanges:
    async with database.write() as session:
        return await tagging.set_tags(database, session, saved_id(artifact), tags, NOW)


async def _edges(database: Database, artifact: tables.Artifact) -> dict[tuple[str, str], tables.Edge]:
    async with database.read() as session:
        edges = await session.exec(select(tables.Edge).where(tables.Edge.artifact_id == artifact.id))
        return {(edge.parent, edge.child): edge for edge in edges}


async def _revisions(database: Database, artifact: tables.Artifact) -> tuple[int, int]:
    async with database.read() as session:
        revision = await database.revision(session)
    return (await read_artifact(database, artifact)).content_revision, revision


async def test_a_manifest_is_stored_byte_for_byte_with_what_it_points_at(database: Database) -> None:
    """What clients verify by digest is what the upstream had; config and layers become edges."""
    artifact = await add_artifact(database, "example.com/app")
    image = make_image([b"one", b"two"])

    await _save(database, artifact, image)

    async with database.read() as session:
        row = (await session.exec(select(tables.Manifest))).one()
    assert (row.digest, row.content, row.media_type) == (str(image.digest), image.manifest, image.media_type)
    assert row.size == len(image.manifest)
    edges = await _edges(database, artifact)
    assert set(edges) == {(str(image.digest), str(digest)) for digest in image.blobs}
    assert {edge.kind for edge in edges.values()} == {tables.EdgeKind.BLOB}
    for digest, blob in image.blobs.items():
        assert edges[str(image.digest), str(digest)].size == blob.size


async def test_an_index_points_at_manifests_with_their_platforms(database: Database) -> None:
    """The children of an index are known, and for which machine each is, before anybody asks."""
    artifact = await add_artifact(database, "example.com/app")
    images = [make_image(platform=("linux", "amd64")), make_image(platform=("linux", "arm64", "v8"))]
    index = make_index(images)

    await _save(database, artifact, index)

    edges = await _edges(database, artifact)
    assert {(edge.child, edge.platform) for edge in edges.values()} == {
        (str(images[0].digest), "linux/amd64"),
        (str(images[1].digest), "linux/arm64/v8"),
    }
    assert {edge.kind for edge in edges.values()} == {tables.EdgeKind.MANIFEST}


async def test_charts_and_referrers_keep_their_type_and_subject(database: Database) -> None:
    """What a manifest is about can be answered later, without reading it again."""
    artifact = await add_artifact(database, "example.com/app")
    chart = make_chart()
    sbom = make_artifact("application/vnd.example.sbom.v1", subject=chart)

    await _save(database, artifact, chart, sbom)

    async with database.read() as session:
        rows = {row.digest: row for row in await session.exec(select(tables.Manifest))}
    assert rows[str(chart.digest)].artifact_type == "application/vnd.cncf.helm.config.v1+json"
    assert rows[str(sbom.digest)].artifact_type == "application/vnd.example.sbom.v1"
    assert rows[str(sbom.digest)].subject == str(chart.digest)


async def test_saving_again_changes_nothing(database: Database) -> None:
    """Two who fetched the same at once do not disturb each other."""
    artifact = await add_artifact(database, "example.com/app")
    # One layer twice: manifests with repeated empty layers are common.
    image = make_image([b"same", b"other", b"same"])

    await _save(database, artifact, image)
    before = await _edges(database, artifact)
    await _save(database, artifact, image, image)

    assert set(await _edges(database, artifact)) == set(before)


async def test_artifacts_hold_manifests_of_their_own(database: Database) -> None:
    """What one artifact holds is not reachable through another."""
    mine = await add_artifact(database, "example.com/mine")
    other = await add_artifact(database, "example.com/other")
    image = make_image()

    await _save(database, mine, image)

    async with database.read() as session:
        assert await held.children(session, saved_id(mine), [str(image.digest)]) == {str(image.digest): ()}
        assert await held.children(session, saved_id(other), [str(image.digest)]) == {}


async def test_tags_that_change_raise_both_revisions_once(database: Database) -> None:
    """Nodes ask again after a new or moved tag, once for all that changed together."""
    artifact = await add_artifact(database, "example.com/app")
    content, revision = await _revisions(database, artifact)

    assert await _tag(database, artifact, {"1": "sha256:a", "2": "sha256:b"}) == TagChanges(new=2)
    assert await _revisions(database, artifact) == (content + 1, revision + 1)

    changes = await _tag(database, artifact, {"1": "sha256:a", "2": "sha256:c", "3": "sha256:c"})
    assert changes == TagChanges(new=1, moved=1)
    assert await _revisions(database, artifact) == (content + 2, revision + 2)
    assert await read_tags(database, artifact) == {"1": "sha256:a", "2": "sha256:c", "3": "sha256:c"}


async def test_unchanged_tags_are_not_written(database: Database) -> None:
    """Nothing is told to nodes, and nothing written, when nothing moved."""
    artifact = await add_artifact(database, "example.com/app")
    tags = {f"{number}": f"sha256:{number}" for number in range(1200)}
    await _tag(database, artifact, tags)
    before = await _revisions(database, artifact)

    assert await _tag(database, artifact, tags) == TagChanges()
    assert await _tag(database, artifact, {}) == TagChanges()

    assert await _revisions(database, artifact) == before


async def test_a_moved_tag_keeps_the_time_when_it_came(database: Database) -> None:
    """Create time is when a tag was first seen, update time when it moved."""
    artifact = await add_artifact(database, "example.com/app")
    later = NOW.replace(hour=9)
    async with database.write() as session:
        await tagging.set_tags(database, session, saved_id(artifact), {"1": "sha256:a"}, NOW)
    async with database.write() as session:
        await tagging.set_tags(database, session, saved_id(artifact), {"1": "sha256:b"}, later)
    async with database.read() as session:
        tag = (await session.exec(select(tables.Tag))).one()
    assert (tag.create_time, tag.update_time) == (NOW, later)


@pytest.mark.parametrize(
    ("learned", "seen", "asked", "stays"),
    [
        (1, None, 2, False),
        (2, None, 2, False),
        (3, None, 2, True),
        (1, 3, 2, True),
        (1, 2, 2, False),
        # Nobody can have learned that already: a clock was wrong.
        (9, None, 2, False),
        (1, 9, 2, False),
    ],
)
async def test_an_older_answer_is_not_written_over_a_later_one(
    database: Database, learned: int, seen: int | None, asked: int, stays: bool
) -> None:
    """Whoever asked the upstream last is believed, in whatever order answers are written; in hours."""
    artifact = await add_artifact(database, "example.com/app")
    hour = [NOW.replace(hour=number) for number in range(10)]
    await add(
        database,
        tables.Tag(
            artifact_id=saved_id(artifact),
            name="1",
            digest="sha256:a",
            create_time=hour[0],
            update_time=hour[learned],
            seen_time=None if seen is None else hour[seen],
        ),
    )
    answers = {"1": "sha256:b", "2": "sha256:b"}

    async with database.write() as session:
        changes = await tagging.set_tags(
            database, session, saved_id(artifact), answers, hour[4], asked=dict.fromkeys(answers, hour[asked])
        )

    assert changes == TagChanges(new=1, moved=0 if stays else 1)
    assert await read_tags(database, artifact) == answers | ({"1": "sha256:a"} if stays else {})


async def test_a_tag_that_was_seen_since_the_listing_is_not_removed(database: Database) -> None:
    """Nor what it stands for; where nothing is removed, nodes are told nothing."""
    artifact = await add_artifact(database, "example.com/app")
    listed, later, now = (NOW.replace(hour=number) for number in (5, 6, 7))
    old, new = make_image(seed=1), make_image(seed=2)
    await _save(database, artifact, old, new)
    await _tag(database, artifact, {"old": str(old.digest)})
    async with database.write() as session:
        await tagging.set_tags(database, session, saved_id(artifact), {"new": str(new.digest)}, later)

    removed = []
    for _ in range(2):
        before = await _revisions(database, artifact)
        async with database.write() as session:
            names = ("old", "new")
            removed.append(
                await tagging.remove_tags(database, session, saved_id(artifact), names, now, listed=listed)
            )

    assert removed == [1, 0]
    assert await _revisions(database, artifact) == before
    assert await read_tags(database, artifact) == {"new": str(new.digest)}
    async with database.read() as session:
        assert list(await session.exec(select(tables.Manifest.digest))) == [str(new.digest)]


async def test_forgetting_leaves_nothing_of_one_artifact(database: Database) -> None:
    """After a change of upstream nothing of the old one is served; other artifacts keep theirs."""
    mine = await add_artifact(database, "example.com/mine")
    other = await add_artifact(database, "example.com/other")
    image = make_image()
    for artifact in (mine, other):
        await _save(database, artifact, image)
        await _tag(database, artifact, {"1": str(image.digest)})
    content, revision = await _revisions(database, mine)

    async with database.write() as session:
        await tagging.forget(database, session, saved_id(mine), NOW)

    assert await read_tags(database, mine) == {}
    assert await _edges(database, mine) == {}
    assert await read_tags(database, other) == {"1": str(image.digest)}
    assert len(await _edges(database, other)) == len(image.blobs)
    assert await _revisions(database, mine) == (content + 1, revision + 1)


async def test_an_artifact_that_was_deleted_or_moved_on_is_not_written_to(database: Database) -> None:
    """What one upstream said is never stored as if another had."""
    artifact = await add_artifact(database, "example.com/app")
    async with database.write() as session:
        await store.lock(session, artifact)

    async with database.write() as session:
        row = (await session.exec(select(tables.Artifact))).one()
        row.upstream = "example.com/other"
        session.add(row)
    with pytest.raises(ArtifactChanged):
        async with database.write() as session:
            await store.lock(session, artifact)

    async with database.write() as session:
        await session.delete((await session.exec(select(tables.Artifact))).one())
    with pytest.raises(ArtifactChanged):
        async with database.write() as session:
            await store.lock(session, artifact)
