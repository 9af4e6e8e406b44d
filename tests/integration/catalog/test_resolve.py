"""What references stand for, and what is asked of the upstream for it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlmodel import select, update

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamError, UpstreamInvalid, UpstreamRateLimited, UpstreamUnavailable
from clients.oci.media_types import OCI_LAYER_TAR
from clients.oci.transport import Transport
from controlplane.catalog.resolve import Resolver
from controlplane.catalog.unknown import Unknown, UnknownReason
from controlplane.model.artifact_tables import Artifact, Edge, EdgeKind, Manifest
from controlplane.model.database import Database
from controlplane.upstream.access import UpstreamAccess
from tests.fakes.blobs import BytesBlob
from tests.fakes.images import Image, make_cache, make_image, make_index
from tests.fakes.registry import FakeRegistry
from tests.fakes.rows import BOTH_DATABASES, add_artifact, read_artifact, read_tags
from tests.fakes.waiting import until

pytestmark = BOTH_DATABASES


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    """A clock that the test moves."""
    return _Clock()


@pytest.fixture
async def resolver(database: Database, access: UpstreamAccess, clock: _Clock) -> AsyncIterator[Resolver]:
    """What answers references."""
    made = Resolver(database, access, clock=clock)
    yield made
    await made.stop()


@pytest.fixture
async def artifact(database: Database, fake: FakeRegistry) -> Artifact:
    """An artifact whose upstream repository is not there yet."""
    return await add_artifact(database, f"{fake.host}/team/app")


async def _held(database: Database) -> set[str]:
    async with database.read() as session:
        return set(await session.exec(select(Manifest.digest)))


async def test_a_tag_that_is_not_held_is_asked_of_the_upstream_once(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """The first pull of a tag gets it and makes it a held one; the second asks nobody."""
    image = fake.add(make_image(), "team/app", ["1.0"])

    found = await resolver.manifest(artifact.uid, "1.0")

    assert found.content == image.manifest
    assert (found.digest, found.media_type) == (str(image.digest), image.media_type)
    assert found.size == len(image.manifest)
    assert await read_tags(database, artifact) == {"1.0": str(image.digest)}

    await fake.stop()
    assert await resolver.manifest(artifact.uid, "1.0") == found
    # Whoever asks for a digest without a scope is not told a tag.
    assert await resolver.manifest(artifact.uid, image.digest) == replace(found, reached_by="")
    assert fake.count("GET", "manifests") == 1


async def test_a_tag_resolved_on_demand_raises_the_content_revision(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """Other nodes learn that there is a new tag; a manifest by digest changes no tag, and tells nothing."""
    index = make_index([make_image(platform=("linux", platform)) for platform in ("amd64", "arm64")])
    fake.add(index, "team/app", ["1.0"])

    found = await resolver.manifest(artifact.uid, "1.0")
    assert found.content_revision == artifact.content_revision + 1

    child = await resolver.manifest(artifact.uid, index.children[1].digest)
    assert child.content_revision == found.content_revision
    assert (await read_artifact(database, artifact)).content_revision == found.content_revision


async def test_twenty_who_ask_at_once_make_one_upstream_request(
    fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """A new release that everybody pulls costs the upstream one request."""
    image = fake.add(make_image(), "team/app", ["1.0"])
    fake.faults.add("manifests", delay=0.1)

    found = await asyncio.gather(*(resolver.manifest(artifact.uid, "1.0") for _ in range(20)))

    assert {one.content for one in found} == {image.manifest}
    assert fake.count(kind="manifests") == 1


async def test_twenty_who_ask_for_nothing_make_one_upstream_request(
    fake: FakeRegistry, resolver: Resolver, artifact: Artifact, clock: _Clock
) -> None:
    """Absence is remembered for a short while, for one reference, and then asked again."""
    fake.add(make_image(), "team/app", ["1.0"])

    outcomes = await asyncio.gather(
        *(resolver.manifest(artifact.uid, "2.0") for _ in range(20)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {Unknown}
    for _ in range(3):
        with pytest.raises(Unknown) as caught:
            await resolver.manifest(artifact.uid, "2.0")
        assert caught.value.reason is UnknownReason.MANIFEST
    assert fake.count(kind="manifests") == 1

    await resolver.manifest(artifact.uid, "1.0")
    clock.now += 11
    image = fake.add(make_image(seed=2), "team/app", ["2.0"])
    assert (await resolver.manifest(artifact.uid, "2.0")).content == image.manifest


async def test_children_of_an_index_are_fetched_when_they_are_asked_for(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """A client that wants one platform of many does not make the upstream send them all."""
    index = make_index([make_image(platform=("linux", platform)) for platform in ("amd64", "arm64")])
    fake.add(index, "team/app", ["1.0"])
    child = index.children[0]

    await resolver.manifest(artifact.uid, "1.0")
    assert await _held(database) == {str(index.digest)}

    assert (await resolver.manifest(artifact.uid, child.digest)).content == child.manifest
    assert await _held(database) == {str(index.digest), str(child.digest)}

    for digest, blob in child.blobs.items():
        assert (await resolver.blob(artifact.uid, digest)).size == blob.size


async def test_content_that_the_node_has_is_not_sent_again(
    fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """Asking again after a sync costs a digest, not a manifest."""
    image = fake.add(make_image(), "team/app", ["1.0"])

    assert (await resolver.manifest(artifact.uid, "1.0", str(image.digest))).content is None
    other = await resolver.manifest(artifact.uid, "1.0", "sha256:" + "0" * 64)
    assert other.content == image.manifest


async def test_sha512_digests_resolve_to_themselves(
    fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """Who asks by sha512 is answered by sha512, and can verify it."""
    image = make_image()
    fake.add(image, "team/app", ["1.0"])
    digest = Digest.of(image.manifest, "sha512")
    fake.repositories["team/app"].manifests[str(digest)] = image
    # The registry's own idea of the digest is the sha256.
    fake.faults.add("manifests", headers={"Docker-Content-Digest": str(digest)})

    found = await resolver.manifest(artifact.uid, digest)

    assert (found.digest, found.content) == (str(digest), image.manifest)


async def test_what_is_not_what_its_digest_names_is_refused(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """Bytes that were changed on the way are neither served nor stored, and asked for again."""
    image = fake.add(make_image(), "team/app", ["1.0"])
    fake.faults.add("manifests", corrupt_at=40, times=1)

    with pytest.raises(UpstreamInvalid):
        await resolver.manifest(artifact.uid, image.digest)
    assert await _held(database) == set()

    assert (await resolver.manifest(artifact.uid, image.digest)).content == image.manifest


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"status": 503}, UpstreamUnavailable),
        ({"drop": True}, UpstreamUnavailable),
        ({"body": b"x" * (5 * 1024 * 1024)}, UpstreamInvalid),
        ({"body": b"not JSON"}, UpstreamInvalid),
    ],
    ids=["unavailable", "hangs-up", "huge", "no-json"],
)
async def test_trouble_is_not_absence(
    fake: FakeRegistry,
    resolver: Resolver,
    artifact: Artifact,
    fault: dict[str, object],
    expected: type[UpstreamError],
) -> None:
    """What the upstream could not say is an error of its kind, and is not remembered."""
    image = fake.add(make_image(), "team/app", ["1.0"])
    fake.faults.add("manifests", **fault)

    with pytest.raises(expected):
        await resolver.manifest(artifact.uid, "1.0")

    fake.faults.clear()
    assert (await resolver.manifest(artifact.uid, "1.0")).content == image.manifest


async def test_a_refusal_for_too_many_requests_is_kept_to(database: Database, fake: FakeRegistry) -> None:
    """Until the moment that it names nothing is asked of the host, whatever is pulled; then it goes on."""
    image = fake.add(make_image(), "team/app", ["1.0", "2.0"])
    fake.faults.add("manifests", status=429, headers={"Retry-After": "7"}, times=1)
    now = 1000.0
    first, second = [await add_artifact(database, f"{fake.host}/team/{name}") for name in ("app", "other")]
    async with Transport(allow_private=True, clock=lambda: now) as transport:
        resolver = Resolver(database, UpstreamAccess(transport, allow_private=True))
        for artifact, tag in ((first, "1.0"), (first, "1.0"), (first, "2.0"), (second, "1.0")):
            with pytest.raises(UpstreamRateLimited) as caught:
                await resolver.manifest(artifact.uid, tag)
            assert caught.value.retry_after == 7
        assert fake.count(kind="manifests") == 1

        now += 8
        assert (await resolver.manifest(first.uid, "1.0")).content == image.manifest
        await resolver.stop()


async def test_another_upstream_is_asked_anew(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """What the old upstream did not have says nothing of the new one."""
    with pytest.raises(Unknown):
        await resolver.manifest(artifact.uid, "1.0")

    image = fake.add(make_image(), "team/other", ["1.0"])
    await _point_at(database, artifact, f"{fake.host}/team/other")

    assert (await resolver.manifest(artifact.uid, "1.0")).content == image.manifest


async def test_an_answer_of_the_old_upstream_is_not_stored_under_the_new(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """A change of upstream while a pull waits for the old one: the pull gets what the new one has."""
    old = fake.add(make_image(seed=1), "team/app", ["1.0"])
    new = fake.add(make_image(seed=2), "team/other", ["1.0"])
    gate = asyncio.Event()
    fake.faults.add("manifests", pause_after=10, gate=gate, times=1)
    pull = asyncio.ensure_future(resolver.manifest(artifact.uid, "1.0"))
    await until(lambda: _asked(fake))

    await _point_at(database, artifact, f"{fake.host}/team/other")
    gate.set()

    assert (await pull).content == new.manifest
    assert str(old.digest) not in await _held(database)


async def test_an_artifact_that_is_gone_is_unknown(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """Also when it goes while its upstream is asked."""
    fake.add(make_image(), "team/app", ["1.0"])
    gate = asyncio.Event()
    fake.faults.add("manifests", pause_after=10, gate=gate, times=1)
    pull = asyncio.ensure_future(resolver.manifest(artifact.uid, "1.0"))
    await until(lambda: _asked(fake))

    async with database.write() as session:
        await session.delete(await read_artifact(database, artifact))
    gate.set()

    with pytest.raises(Unknown) as caught:
        await pull
    assert caught.value.reason is UnknownReason.ARTIFACT


async def test_blobs_are_reached_through_held_manifests_of_this_artifact(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """A digest is not a capability: who may pull one artifact cannot take the layers of another."""
    other = await add_artifact(database, f"{fake.host}/team/other")
    mine = fake.add(make_image([b"mine"]), "team/app", ["1.0"])
    theirs: Image = fake.add(make_image([b"theirs"]), "team/other", ["1.0"])
    await resolver.manifest(artifact.uid, "1.0")
    await resolver.manifest(other.uid, "1.0")

    layer = mine.layers[0]
    found = await resolver.blob(artifact.uid, layer.digest)
    assert (found.digest, found.size) == (str(layer.digest), layer.size)
    with pytest.raises(Unknown) as caught:
        await resolver.blob(artifact.uid, theirs.layers[0].digest)
    assert caught.value.reason is UnknownReason.BLOB
    with pytest.raises(Unknown) as caught:
        await resolver.blob("no-such-artifact", layer.digest)
    assert caught.value.reason is UnknownReason.ARTIFACT


async def test_the_layers_of_a_build_cache_are_blobs(
    database: Database, fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """BuildKit's are indexes of layers; those that were stored when these passed for manifests count too."""
    cache = fake.add(make_cache(), "team/app", ["cache"])
    await resolver.manifest(artifact.uid, "cache")

    for _ in range(2):
        for digest, blob in cache.blobs.items():
            assert (await resolver.blob(artifact.uid, digest)).size == blob.size
            with pytest.raises(Unknown):
                await resolver.manifest(artifact.uid, digest)
        async with database.write() as session:
            await session.exec(update(Edge).values(kind=EdgeKind.MANIFEST))
    assert fake.count("GET", "manifests") == 1


async def test_the_digest_of_a_config_or_layer_is_no_manifest(
    fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """A pull by an image's id is not asked of an upstream, which may fail over it each time."""
    image = fake.add(make_image(), "team/app", ["1.0"])
    await resolver.manifest(artifact.uid, "1.0")
    fake.faults.add("manifests", status=500)

    for digest in image.blobs:
        with pytest.raises(Unknown) as caught:
            await resolver.manifest(artifact.uid, digest)
        assert caught.value.reason is UnknownReason.MANIFEST

    assert fake.count("GET", "manifests") == 1


async def test_a_manifest_that_another_one_has_as_a_layer_is_a_manifest_still(
    fake: FakeRegistry, resolver: Resolver, artifact: Artifact
) -> None:
    """What is listed with a manifest's media type may be both, and the upstream is asked."""
    inner = fake.add(make_image([b"inner"]), "team/app", [])
    outer = make_image([BytesBlob(inner.manifest)])
    named = outer.manifest.replace(OCI_LAYER_TAR.encode(), inner.media_type.encode())
    fake.add(replace(outer, manifest=named), "team/app", ["1.0"])
    await resolver.manifest(artifact.uid, "1.0")

    assert (await resolver.manifest(artifact.uid, inner.digest)).content == inner.manifest


async def _asked(fake: FakeRegistry) -> bool:
    return fake.count("GET", "manifests") > 0


async def _point_at(database: Database, artifact: Artifact, upstream: str) -> None:
    async with database.write() as session:
        row = (await session.exec(select(Artifact).where(Artifact.uid == artifact.uid))).one()
        row.upstream = upstream
        session.add(row)
