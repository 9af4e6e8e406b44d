"""How what an artifact holds is read."""

from contextlib import aclosing

import pytest

from clients.oci.manifest import Manifest
from controlplane.catalog import held, reach, store, tagging
from controlplane.catalog.unknown import Unknown, UnknownReason
from controlplane.model.artifact_tables import Artifact, Edge, EdgeKind
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from tests.fakes.images import Image, make_image, make_index
from tests.fakes.rows import NOW, add_artifact


async def _save(database: Database, artifact: Artifact, *images: Image) -> None:
    async with database.write() as session:
        manifests = [Manifest.parse(image.manifest, image.media_type) for image in images]
        await store.save_manifests(session, saved_id(artifact), manifests, NOW)


async def _incomplete(database: Database, artifact: Artifact) -> set[str]:
    async with database.read() as session:
        return await reach.incomplete(session, saved_id(artifact))


async def test_an_unknown_artifact_is_told_as_such(database: Database) -> None:
    """A node whose configuration is behind learns that the artifact is gone."""
    async with database.read() as session:
        with pytest.raises(Unknown) as caught:
            await held.artifact(session, "no-such-uid")
    assert caught.value.reason is UnknownReason.ARTIFACT


async def test_tag_pages_hold_each_tag_once_in_the_order_of_bytes(database: Database) -> None:
    """`tags/list` is "ASCIIbetical" (distribution specification, Listing Tags) over all pages."""
    artifact = await add_artifact(database, "example.com/app")
    other = await add_artifact(database, "example.com/other")
    names = ["10", "2", "A", "Z", "_x", "a", "a-1", "a.1", "a_1", "z"]
    async with database.write() as session:
        await tagging.set_tags(
            database, session, saved_id(artifact), dict.fromkeys(reversed(names), "sha256:a"), NOW
        )
        await tagging.set_tags(database, session, saved_id(other), {"other": "sha256:a"}, NOW)

    for size in (1, 3, 5, 10, 100):
        async with aclosing(held.tag_pages(database, saved_id(artifact), size)) as pages:
            found = [page async for page in pages]
        assert [name for page in found for name in page] == sorted(names)
        assert all(0 < len(page) <= size for page in found)


async def test_a_blob_is_reached_through_a_held_manifest_only(database: Database) -> None:
    """A digest alone opens nothing: some manifest of this artifact must name it as a blob."""
    mine = await add_artifact(database, "example.com/mine")
    other = await add_artifact(database, "example.com/other")
    image, foreign = make_image([b"mine"]), make_image([b"other"])
    index = make_index([image, foreign])
    await _save(database, mine, index, image)
    await _save(database, other, foreign)

    async with database.read() as session:
        for digest, blob in image.blobs.items():
            edge = await reach.blob(session, saved_id(mine), str(digest))
            assert edge is not None
            assert edge.size == blob.size
        # A layer of a child that is not held, a manifest, and something made up.
        for stranger in (foreign.layers[0].digest, image.digest, "sha256:" + "0" * 64):
            assert await reach.blob(session, saved_id(mine), str(stranger)) is None


async def test_an_index_is_complete_when_all_below_it_is_held(database: Database) -> None:
    """What misses children is found, with the indexes above it, however deep."""
    artifact = await add_artifact(database, "example.com/app")
    images = [make_image(seed=seed) for seed in range(3)]
    inner = make_index(images[:2])
    outer = make_index([inner, images[2]])

    await _save(database, artifact, outer, inner, images[0], images[2])
    assert await _incomplete(database, artifact) == {str(inner.digest), str(outer.digest)}

    await _save(database, artifact, images[1])
    assert await _incomplete(database, artifact) == set()


async def test_an_index_may_list_things_that_are_no_manifests(database: Database) -> None:
    """An entry of a type that registries do not serve as manifest is not missed (image-index.md)."""
    artifact = await add_artifact(database, "example.com/app")
    image = make_image()
    index = make_index([image, Image(b"{}", "application/vnd.example.thing")])
    await _save(database, artifact, index, image)

    assert await _incomplete(database, artifact) == set()
    async with database.read() as session:
        children = await held.children(session, saved_id(artifact), [str(index.digest)])
    assert children == {str(index.digest): (str(image.digest),)}


async def test_edges_in_a_circle_end(database: Database) -> None:
    """Rows that point at each other, whoever wrote them, do not hang the control plane."""
    artifact = await add_artifact(database, "example.com/app")
    key, media_type = saved_id(artifact), make_index([]).media_type
    async with database.write() as session:
        for parent, child in (("a", "b"), ("b", "a"), ("b", "missing")):
            session.add(
                Edge(
                    artifact_id=key,
                    parent=parent,
                    child=child,
                    kind=EdgeKind.MANIFEST,
                    media_type=media_type,
                    size=1,
                )
            )
    assert await _incomplete(database, artifact) == {"a", "b"}
