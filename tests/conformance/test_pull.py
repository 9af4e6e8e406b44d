"""Specification, "Pull": manifests and blobs, GET and HEAD (end-1, end-2, end-3)."""

import pytest

from clients.oci.digest import Digest
from tests.conformance import content
from tests.conformance.client import Repository, assert_error
from tests.fakes.blobs import Blob, content_of
from tests.fakes.images import Image

ABSENT = f"sha256:{'0' * 64}"
MANIFESTS = [pytest.param(tag, image, id=tag[:16]) for tag, image in content.MANIFESTS.items()]
CHILDREN = [pytest.param(image, id=image.platform["architecture"]) for image in content.INDEX.children]
BLOBS = [
    pytest.param(digest, blob, id=f"{name}-{place}")
    for name, image in [("image", content.AMD64), ("docker", content.DOCKER), ("chart", content.CHART)]
    for place, (digest, blob) in enumerate(image.blobs.items())
]


def test_determining_support(repository: Repository) -> None:
    """Section "Determining support" (end-1): 200 from /v2/ says that this is a registry."""
    for path in ("/v2/", "/v2"):
        answer = repository.ask_path("GET", path)
        assert answer.status == 200
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"


@pytest.mark.parametrize(("tag", "image"), MANIFESTS)
def test_get_manifest_by_tag(repository: Repository, tag: str, image: Image) -> None:
    """Section "Pulling manifests" (end-3): the very bytes, their type without parameters, their digest."""
    answer = repository.get(f"manifests/{tag}")
    assert answer.status == 200
    assert answer.body == image.manifest
    assert answer.headers["Content-Type"] == image.media_type
    assert answer.headers["Content-Length"] == str(len(image.manifest))
    assert answer.headers["Docker-Content-Digest"] == str(image.digest)


@pytest.mark.parametrize(("tag", "image"), MANIFESTS)
def test_get_manifest_by_digest(repository: Repository, tag: str, image: Image) -> None:
    """Section "Pulling manifests" (end-3): by digest as by tag."""
    answer = repository.get(f"manifests/{image.digest}")
    assert answer.status == 200
    assert answer.body == image.manifest
    assert answer.headers["Content-Type"] == image.media_type
    assert answer.headers["Docker-Content-Digest"] == str(image.digest)


@pytest.mark.parametrize("image", CHILDREN)
def test_get_manifest_that_an_index_lists(repository: Repository, image: Image) -> None:
    """Section "Pulling manifests" (end-3): a platform's manifest has no tag, and is there by its digest."""
    answer = repository.get(f"manifests/{image.digest}")
    assert answer.status == 200
    assert answer.body == image.manifest


def test_get_manifest_that_has_no_tag(repository: Repository) -> None:
    """Section "Pulling manifests" (end-3): what the upstream has is there, although no tag reaches it."""
    answer = repository.get(f"manifests/{content.COLD.digest}")
    assert answer.status == 200
    assert answer.body == content.COLD.manifest


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json;q=0.5",
        "application/vnd.docker.distribution.manifest.v2+json, "
        "application/vnd.docker.distribution.manifest.list.v2+json, */*",
    ],
)
def test_accept_header(repository: Repository, accept: str) -> None:
    """Section "Pulling manifests": clients SHOULD send Accept; the content is what it is."""
    answer = repository.get("manifests/1.0", Accept=accept)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == content.INDEX.media_type
    assert answer.body == content.INDEX.manifest


@pytest.mark.parametrize(("tag", "image"), MANIFESTS)
def test_head_manifest(repository: Repository, tag: str, image: Image) -> None:
    """Section "Checking if content exists": 200, digest and size, and no body."""
    for reference in (tag, str(image.digest)):
        answer = repository.head(f"manifests/{reference}")
        assert answer.status == 200
        assert answer.headers["Docker-Content-Digest"] == str(image.digest)
        assert answer.headers["Content-Length"] == str(len(image.manifest))
        assert answer.headers["Content-Type"] == image.media_type
        assert answer.body == b""


@pytest.mark.parametrize(
    "reference", ["no-such-tag", "n" * 128, ABSENT], ids=["tag", "longest-tag", "digest"]
)
def test_unknown_manifest(repository: Repository, reference: str) -> None:
    """Section "Pulling manifests": 404 for what is not in the repository (code-7)."""
    assert_error(repository.get(f"manifests/{reference}"), 404, "MANIFEST_UNKNOWN")
    absent = repository.head(f"manifests/{reference}")
    assert absent.status == 404
    assert absent.body == b""


@pytest.mark.parametrize(("digest", "blob"), BLOBS)
def test_get_blob(repository: Repository, digest: Digest, blob: Blob) -> None:
    """Section "Pulling blobs" (end-2): the bytes, digest and length; first cold, then warm."""
    for _ in range(2):
        answer = repository.get(f"blobs/{digest}")
        assert answer.status == 200
        assert answer.body == content_of(blob)
        assert answer.headers["Docker-Content-Digest"] == str(digest)
        assert answer.headers["Content-Length"] == str(blob.size)
        assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(("digest", "blob"), BLOBS)
def test_head_blob(repository: Repository, digest: Digest, blob: Blob) -> None:
    """Section "Checking if content exists": 200, digest and size, and no body."""
    answer = repository.head(f"blobs/{digest}")
    assert answer.status == 200
    assert answer.headers["Docker-Content-Digest"] == str(digest)
    assert answer.headers["Content-Length"] == str(blob.size)
    assert answer.body == b""


def test_head_of_a_blob_that_was_never_fetched(repository: Repository) -> None:
    """Section "Checking if content exists": what manifests say is enough to answer."""
    repository.get(f"manifests/{content.COLD.digest}")
    (digest, blob), *_ = content.COLD.blobs.items()
    answer = repository.head(f"blobs/{digest}")
    assert answer.status == 200
    assert answer.headers["Content-Length"] == str(blob.size)


def test_unknown_blob(repository: Repository) -> None:
    """Section "Pulling blobs": 404 for what is not in the repository (code-1)."""
    assert_error(repository.get(f"blobs/{ABSENT}"), 404, "BLOB_UNKNOWN")
    absent = repository.head(f"blobs/{ABSENT}")
    assert absent.status == 404
    assert absent.body == b""


@pytest.mark.parametrize("path", ["manifests/1.0", f"manifests/{ABSENT}", f"blobs/{ABSENT}"])
def test_unknown_repository(unknown: Repository, path: str) -> None:
    """Section "Endpoints" (end-2, end-3): 404, and the name is what is unknown (code-9)."""
    assert_error(unknown.get(path), 404, "NAME_UNKNOWN")
    assert unknown.head(path).status == 404


@pytest.mark.parametrize(
    "name",
    ["Upper/case", "acme/-dash", "acme//app", "acme/app_", "acme/../app", "acme/a___b", "acme/a%2Fb", "é"],
)
@pytest.mark.parametrize("path", ["manifests/1.0", f"blobs/{ABSENT}", "tags/list", f"referrers/{ABSENT}"])
def test_malformed_name(repository: Repository, name: str, path: str) -> None:
    """Section "Pulling manifests": <name> has a grammar; 400 for what is outside (code-8)."""
    encoded = name.replace("é", "%C3%A9")
    assert_error(repository.ask_path("GET", f"/v2/{encoded}/{path}"), 400, "NAME_INVALID")


@pytest.mark.parametrize("tag", [".INVALID_MANIFEST_NAME", "-dash", "a%20b", "t" * 129, "a%2Bb"])
def test_malformed_tag(repository: Repository, tag: str) -> None:
    """Section "Pulling manifests": 404 for what is not there; its own tests ask for the first of these."""
    assert_error(repository.get(f"manifests/{tag}"), 404, "MANIFEST_UNKNOWN")
    assert repository.head(f"manifests/{tag}").status == 404


@pytest.mark.parametrize(
    "digest",
    [
        "sha256:short",
        "a%3Ab%3Ac",
        "sha256:" + "g" * 64,
        "sha256:" + "A" * 64,
        "md5:" + "0" * 32,
        "1.0",
        "sha256:",
    ],
)
@pytest.mark.parametrize("kind", ["blobs", "referrers"])
def test_malformed_digest(repository: Repository, kind: str, digest: str) -> None:
    """Section "Pulling blobs", "Listing referrers": only a digest will do (code-4)."""
    assert_error(repository.get(f"{kind}/{digest}"), 400, "DIGEST_INVALID")


def test_percent_encoded_digest(repository: Repository) -> None:
    """RFC 3986, section 6.2.2.2: an encoded colon is a colon."""
    encoded = str(content.INDEX.digest).replace(":", "%3A")
    assert repository.get(f"manifests/{encoded}").body == content.INDEX.manifest


def test_source_host_in_the_query(repository: Repository) -> None:
    """Section "Registry proxying": a client may name the host that it means; here it changes nothing."""
    answer = repository.get("manifests/1.0?ns=registry.example.com")
    assert answer.status == 200
    assert answer.body == content.INDEX.manifest
