"""Manifests are asked for as the specification says, and verified before anybody sees them."""

import pytest

from clients.oci import media_types
from clients.oci.credential import Basic
from clients.oci.descriptor import Descriptor
from clients.oci.digest import Digest
from clients.oci.errors import (
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from clients.oci.reference import InvalidReference
from clients.oci.registry import Registry
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from tests.fakes.clock import Clock
from tests.fakes.images import Image, make_artifact, make_chart, make_image, make_index
from tests.fakes.registry import FakeRegistry

IMAGE = make_image()
INDEX = make_index([IMAGE, make_image(platform=("linux", "arm64", "v8"))])
OTHER = make_image(seed=9)


@pytest.fixture
def registry(transport: Transport, upstream: FakeRegistry) -> Registry:
    """A client of a repository with a two-platform image."""
    upstream.add(INDEX, "team/app", ["1.0"])
    return Registry(transport, Upstream.parse(f"{upstream.host}/team/app", plain_http=True))


async def test_a_manifest_by_tag(registry: Registry, upstream: FakeRegistry) -> None:
    """Comes byte for byte, in the registry's type, of all types that can be read."""
    manifest = await registry.get_manifest("1.0")
    assert (manifest.content, manifest.media_type) == (INDEX.manifest, INDEX.media_type)
    (seen,) = upstream.requests
    assert (seen.method, seen.path) == ("GET", "/v2/team/app/manifests/1.0")
    assert set(seen.headers["Accept"].split(", ")) == media_types.INDEXES | media_types.IMAGES


async def test_a_manifest_by_digest(registry: Registry, upstream: FakeRegistry) -> None:
    """A child of the index, by the digest that it is listed with; the colon is not quoted."""
    assert (await registry.get_manifest(str(IMAGE.digest))).content == IMAGE.manifest
    assert upstream.requests[0].path == f"/v2/team/app/manifests/{IMAGE.digest}"


@pytest.mark.parametrize("image", [make_image(docker=True), make_chart(), make_artifact(subject=IMAGE)])
async def test_other_kinds(registry: Registry, upstream: FakeRegistry, image: Image) -> None:
    """Docker's schema 2, charts and foreign artifacts are manifests like any other."""
    upstream.add(image, "team/app", ["other"])
    assert (await registry.get_manifest("other")).digest == image.digest
    head = await registry.head_manifest("other")
    assert head == Descriptor(image.media_type, image.digest, len(image.manifest))


async def test_head_tells_what_a_tag_stands_for(registry: Registry, upstream: FakeRegistry) -> None:
    """In one HEAD request, without the content."""
    assert await registry.head_manifest("1.0") == Descriptor(
        INDEX.media_type, INDEX.digest, len(INDEX.manifest)
    )
    assert [seen.method for seen in upstream.requests] == ["HEAD"]


@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"Docker-Content-Digest": None}},
        {"headers": {"Content-Type": "application/json"}},
        {"headers": {"Content-Type": None}},
        {"status": 405},
        {"status": 400},
        {"status": 403},
        {"status": 202},
    ],
)
async def test_a_head_that_does_not_tell(
    registry: Registry, upstream: FakeRegistry, how: dict[str, object]
) -> None:
    """Of registries without HEAD, or without the digest in it, or that forbid only it, nothing is guessed."""
    upstream.faults.add("manifests", method="HEAD", **how)
    assert await registry.head_manifest("1.0") is None


@pytest.mark.parametrize("method", ["head_manifest", "get_manifest"])
@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, UpstreamDenied, "wants a user name and password to read team/app"),
        (403, UpstreamDenied, "does not allow reading the manifest team/app:1.0"),
        (404, UpstreamNotFound, "does not have the manifest team/app:1.0"),
        (429, UpstreamRateLimited, "asks for fewer requests"),
        (500, UpstreamUnavailable, "answered 500"),
        (503, UpstreamUnavailable, "answered 503"),
    ],
)
async def test_refusals(
    registry: Registry,
    upstream: FakeRegistry,
    method: str,
    status: int,
    kind: type[UpstreamError],
    words: str,
) -> None:
    """Each status has its error, for HEAD as for GET; with what the upstream says about when to come back."""
    upstream.faults.add("manifests", status=status, headers={"Retry-After": "33"})
    with pytest.raises(kind, match=words) as caught:
        await getattr(registry, method)("1.0")
    assert caught.value.host == upstream.host
    assert caught.value.retry_after == (33 if status in (429, 500, 503) else None)


@pytest.mark.parametrize(("status", "methods"), [(404, ["HEAD"]), (429, ["HEAD"]), (403, ["HEAD", "GET"])])
async def test_only_a_head_that_is_forbidden_is_asked_again(
    registry: Registry, upstream: FakeRegistry, status: int, methods: list[str]
) -> None:
    """With GET, for why is in its body; registries count GET against limits, and the others say it all."""
    upstream.faults.add("manifests", status=status)
    with pytest.raises(UpstreamError):
        await registry.head_manifest("1.0")
    assert [seen.method for seen in upstream.requests] == methods


async def test_an_unknown_tag(registry: Registry, upstream: FakeRegistry) -> None:
    """Is not found, in the registry's own words as well; a digest stands behind an @."""
    with pytest.raises(UpstreamNotFound, match=r"team/app:2\.0 \(MANIFEST_UNKNOWN: manifest unknown\)\."):
        await registry.get_manifest("2.0")
    with pytest.raises(UpstreamNotFound, match=f"team/app@{OTHER.digest}"):
        await registry.get_manifest(str(OTHER.digest))


@pytest.mark.parametrize("reference", ["", "a/b", "../x", "sha256:x", "a?b", "a b"])
async def test_what_is_no_reference_is_not_asked_for(
    registry: Registry, upstream: FakeRegistry, reference: str
) -> None:
    """Nothing but tags and digests gets into a path."""
    for method in (registry.get_manifest, registry.head_manifest):
        with pytest.raises(InvalidReference):
            await method(reference)
    assert upstream.requests == []


@pytest.mark.parametrize("reference", ["1.0", str(INDEX.digest)])
async def test_wrong_content_is_refused(registry: Registry, upstream: FakeRegistry, reference: str) -> None:
    """By tag, against the digest that the registry itself names; by digest, against that."""
    upstream.faults.add("manifests", body=OTHER.manifest)
    with pytest.raises(UpstreamInvalid, match="is not what its digest"):
        await registry.get_manifest(reference)


async def test_a_digest_is_believed_over_the_header(registry: Registry, upstream: FakeRegistry) -> None:
    """What was asked for counts; a registry may know the content by another digest as well."""
    other = str(Digest.of(INDEX.manifest, "sha512"))
    upstream.faults.add("manifests", headers={"Docker-Content-Digest": other})
    assert (await registry.get_manifest(str(INDEX.digest))).digest == INDEX.digest
    head = await registry.head_manifest(str(INDEX.digest))
    assert head is not None
    assert head.digest == INDEX.digest


async def test_without_the_header_content_by_tag_is_taken(registry: Registry, upstream: FakeRegistry) -> None:
    """There is nothing to hold it against, and its own digest is computed."""
    upstream.faults.add("manifests", headers={"Docker-Content-Digest": None})
    assert (await registry.get_manifest("1.0")).digest == INDEX.digest


async def test_head_by_digest_with_another_answer(registry: Registry, upstream: FakeRegistry) -> None:
    """A registry that answers for something else is not believed."""
    upstream.faults.add("manifests", headers={"Docker-Content-Digest": str(OTHER.digest)})
    with pytest.raises(UpstreamInvalid, match="another digest than was asked for"):
        await registry.head_manifest(str(INDEX.digest))


@pytest.mark.parametrize("header", ["", "sha256:x", "md5:" + "a" * 32, "x" * 5000])
async def test_a_header_that_is_no_digest(registry: Registry, upstream: FakeRegistry, header: str) -> None:
    """Is refused, and not repeated."""
    upstream.faults.add("manifests", headers={"Docker-Content-Digest": header})
    for method in (registry.get_manifest, registry.head_manifest):
        with pytest.raises(UpstreamInvalid, match="in a form that is none"):
            await method("1.0")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"body": b"{}", "headers": {"Docker-Content-Digest": None}}, "does not have schemaVersion 2"),
        ({"headers": {"Content-Type": "text/html"}}, "which is not one of a manifest"),
        ({"headers": {"Content-Type": media_types.OCI_MANIFEST}}, "says that it is"),
        ({"headers": {"Content-Type": media_types.DOCKER_SCHEMA_1_SIGNED}}, "schema 1"),
        ({"headers": {"Content-Encoding": "gzip"}}, "compressed its answer"),
        ({"body": b" " * (4 * 1024 * 1024 + 1)}, "more than 4194304 bytes"),
        ({"corrupt_at": 5}, "is not what its digest"),
        ({"status": 202}, "unexpected answer 202"),
        ({"redirect": "http://127.0.0.1:1", "redirect_status": 300}, "unexpected answer 300"),
    ],
)
async def test_bad_answers(
    registry: Registry, upstream: FakeRegistry, how: dict[str, object], words: str
) -> None:
    """Whatever is wrong with a manifest, it is refused with the reason and what was asked for."""
    upstream.faults.add("manifests", **how)
    with pytest.raises(UpstreamInvalid, match=words) as caught:
        await registry.get_manifest("1.0")
    assert upstream.host in str(caught.value)


async def test_a_manifest_that_breaks_off(registry: Registry, upstream: FakeRegistry) -> None:
    """Half of it once is asked for again; half of it always is an error."""
    upstream.faults.add("manifests", cut_after=10, times=1)
    assert (await registry.get_manifest("1.0")).digest == INDEX.digest
    upstream.faults.add("manifests", cut_after=10)
    with pytest.raises(UpstreamUnavailable, match="broke off"):
        await registry.get_manifest("1.0")


async def test_a_manifest_that_is_redirected(
    registry: Registry, upstream: FakeRegistry, elsewhere: FakeRegistry
) -> None:
    """As registry.k8s.io does it."""
    elsewhere.add(INDEX, "team/app", ["1.0"])
    upstream.faults.add("manifests", redirect=elsewhere.base_url)
    assert (await registry.get_manifest("1.0")).digest == INDEX.digest
    assert await registry.head_manifest("1.0") is not None


async def test_a_repository_that_is_there(registry: Registry, upstream: FakeRegistry) -> None:
    """Is found so with one small request."""
    await registry.check()
    assert [seen.path for seen in upstream.requests] == ["/v2/team/app/tags/list?n=1"]


async def test_a_repository_that_is_not_there(transport: Transport, upstream: FakeRegistry) -> None:
    """Is told from one that cannot be reached."""
    none = Registry(transport, Upstream.parse(f"{upstream.host}/none", plain_http=True))
    with pytest.raises(UpstreamNotFound, match=r"NAME_UNKNOWN"):
        await none.check()
    await upstream.stop()
    with pytest.raises(UpstreamUnavailable, match="could not be reached"):
        await none.check()


async def test_a_user_who_asked_too_much_keeps_nobody_else_waiting(
    transport: Transport, clock: Clock, registry: Registry, upstream: FakeRegistry
) -> None:
    """What one is refused is kept to by all who ask in that name and nobody else, until it may ask again."""
    place = Upstream.parse(f"{upstream.host}/team/app", plain_http=True)
    alice, again = [Registry(transport, place, Basic("alice", password)) for password in ("one", "two")]
    upstream.faults.add("manifests", status=429, headers={"Retry-After": "30"}, times=1)

    for asking in (alice.get_manifest, alice.head_manifest, again.get_manifest):
        with pytest.raises(UpstreamRateLimited) as caught:
            await asking("1.0")
        assert caught.value.retry_after == 30
    assert len(upstream.requests) == 1
    assert (await registry.get_manifest("1.0")).digest == INDEX.digest

    clock.now += 31
    assert (await alice.get_manifest("1.0")).digest == INDEX.digest
