"""Who gets what: tokens, organizations, and how little a stranger learns."""

import time

import pytest

from clients.control.token import TokenKind, new_token
from clients.oci.digest import Digest
from tests.fakes.blobs import content_of
from tests.fakes.images import make_image
from tests.integration.dataplane.conftest import Setup, basic, seen, until

ABSENT = Digest.of(b"nobody has this")
PATHS = ("/v2/", "/v2/acme/app/manifests/1.0", f"/v2/acme/app/blobs/{ABSENT}", "/v2/acme/app/tags/list")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("path", PATHS)
async def test_without_a_good_token_there_is_a_challenge(setup: Setup, method: str, path: str) -> None:
    """401 for no token, a wrong one, an expired one; the same wherever and whatever is asked."""
    await setup.artifact(make_image())
    expired = setup.plane.add_token(expires_at=time.time() - 1)
    await setup.in_force()
    answers = [
        await setup.request(method, path, Authorization=header)
        for header in ("", basic(new_token(TokenKind.USER)), basic("guess"), basic(expired), "Bearer x")
    ]
    for answer in answers:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Basic realm="penstock"'
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        assert seen(answer) == seen(answers[0])
    if method != "HEAD":
        assert answers[0].code == "UNAUTHORIZED"


@pytest.mark.parametrize("scheme", ["Basic", "Bearer", "AccessToken"])
async def test_a_token_works_in_every_way(setup: Setup, scheme: str) -> None:
    """As docker, as a script, and as the older API sends it."""
    image = make_image()
    await setup.artifact(image)
    header = basic(setup.token, "someone") if scheme == "Basic" else f"{scheme} {setup.token}"
    assert (await setup.get("manifests/1.0", Authorization=header)).body == image.manifest


async def test_another_organizations_artifact_looks_like_none(setup: Setup) -> None:
    """Every kind of request gets byte for byte what it would get for a name that nobody has."""
    image = make_image()
    await setup.artifact(image)
    stranger = setup.plane.add_token(setup.plane.add_organization("globex"))
    await setup.in_force()
    digest = next(iter(image.blobs))
    assert (await setup.get(f"blobs/{digest}")).status == 200
    for path in (
        "manifests/1.0",
        f"manifests/{image.digest}",
        f"blobs/{digest}",
        "tags/list",
        f"referrers/{digest}",
    ):
        for method in ("GET", "HEAD", "DELETE", "PUT"):
            there = await setup.request(method, f"/v2/acme/app/{path}", token=stranger)
            nowhere = await setup.request(method, f"/v2/acme/nope/{path}", token=stranger)
            assert there.status in (404, 405)
            assert seen(there) == seen(nowhere)


async def test_a_digest_is_not_a_capability(setup: Setup) -> None:
    """A blob or manifest of one artifact is not served under another, though the node has it."""
    image = make_image()
    await setup.artifact(image)
    await setup.artifact(None, "acme/other")
    digest = next(iter(image.blobs))
    assert (await setup.get(f"blobs/{digest}")).status == 200
    assert (await setup.get(f"manifests/{image.digest}")).status == 200
    other = await setup.request("GET", f"/v2/acme/other/blobs/{digest}")
    assert (other.status, other.code) == (404, "BLOB_UNKNOWN")
    other = await setup.request("GET", f"/v2/acme/other/manifests/{image.digest}")
    assert (other.status, other.code) == (404, "MANIFEST_UNKNOWN")


async def test_a_shared_blob_is_fetched_once(setup: Setup) -> None:
    """Two artifacts that both reach it share what is on disk."""
    image = make_image()
    await setup.artifact(image)
    await setup.artifact(image, "acme/other")
    for digest, blob in image.blobs.items():
        for repository in ("acme/app", "acme/other"):
            answer = await setup.request("GET", f"/v2/{repository}/blobs/{digest}")
            assert answer.body == content_of(blob)
    assert setup.upstream.count("GET", "blobs") == len(image.blobs)


async def test_the_administrator_pulls_everything(setup: Setup) -> None:
    """Of whatever organization."""
    image = make_image()
    await setup.artifact(image)
    admin = setup.plane.add_token()
    await setup.in_force()
    assert (await setup.request("GET", "/v2/acme/app/manifests/1.0", token=admin)).status == 200
    assert (await setup.request("GET", "/v2/acme/none/manifests/1.0", token=admin)).status == 404


async def test_a_revoked_token_is_refused_at_once(setup: Setup) -> None:
    """As soon as the node has heard of it, also on a connection that is open."""
    await setup.artifact(make_image())
    assert (await setup.get("tags/list")).status == 200
    setup.plane.remove_token(setup.token)
    await setup.in_force()
    assert (await setup.get("tags/list")).status == 401


async def test_a_token_ends_without_the_control_plane(setup: Setup) -> None:
    """By the node's own clock."""
    ending = setup.plane.add_token(setup.plane.add_organization("initech"), expires_at=time.time() + 1.5)
    await setup.in_force()
    await setup.plane.stop()
    assert (await setup.request("GET", "/v2/", token=ending)).status == 200
    expired = time.time() + 1.5
    await until(lambda: time.time() > expired)
    assert (await setup.request("GET", "/v2/", token=ending)).status == 401


async def test_a_deleted_artifact_is_gone(setup: Setup) -> None:
    """Although the node has everything of it."""
    image = make_image()
    artifact = await setup.artifact(image)
    assert (await setup.get("manifests/1.0")).status == 200
    setup.plane.remove_artifact(artifact)
    await setup.in_force()
    for path in ("manifests/1.0", f"blobs/{next(iter(image.blobs))}", "tags/list"):
        answer = await setup.get(path)
        assert (answer.status, answer.code) == (404, "NAME_UNKNOWN")


async def test_no_token_is_logged(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the clients' nor the node's."""
    caplog.set_level("DEBUG")
    await setup.artifact(make_image())
    await setup.get("manifests/1.0")
    await setup.plane.stop()
    await setup.get("manifests/2.0")
    assert setup.token not in caplog.text
    assert setup.plane.token not in caplog.text
