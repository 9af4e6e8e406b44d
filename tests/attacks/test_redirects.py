"""Attacks by redirects and links: a registry, or its storage, that sends the reader somewhere else."""

import pytest

from clients.oci.blob import BlobAccess, open_blob
from clients.oci.digest import Digest
from tests.attacks.scene import IMAGE, TOKEN, VENDOR, Scene
from tests.fakes.blobs import content_of
from tests.fakes.endpoint import Reply

LAYER = content_of(IMAGE.layers[0])


@pytest.fixture(autouse=True)
def private(scene: Scene) -> None:
    """The registry wants the token of the desk."""
    scene.name_realm(f"{scene.desk_url}/token")


async def test_authorization_on_the_redirect_of_a_blob(scene: Scene) -> None:
    """Storage elsewhere gives the blob, and is not shown what opened the registry."""
    scene.thief.reply = Reply(200, LAYER)
    scene.registry.faults.add("blobs", redirect=f"{scene.thief_url}/bucket/key?X-Amz-Signature=abc")
    assert await scene.blob() == LAYER
    (asked,) = scene.thief.received
    assert asked.path == "/bucket/key?X-Amz-Signature=abc"
    assert asked.headers["Authorization"] is None
    assert not scene.thief.saw(TOKEN)


@pytest.mark.parametrize("kind", ["manifests", "tags"])
async def test_authorization_on_the_redirect_of(scene: Scene, kind: str) -> None:
    """Manifests and tag lists that are elsewhere are asked for without it as well."""
    await scene.client().get_manifest("1.0")
    scene.registry.faults.add(kind, redirect=scene.thief_url)
    client = scene.client()
    await scene.refused(client.get_manifest("1.0") if kind == "manifests" else client.check())
    assert scene.thief.received
    assert scene.safe()


async def test_authorization_on_another_port_of_the_same_host(scene: Scene) -> None:
    """Another port is another origin, and may be another owner's."""
    port = scene.thief.host.rpartition(":")[2]
    addresses = [server.host.partition(":")[0] for server in (scene.registry, scene.thief)]
    scene.internet.resolve(VENDOR, *addresses)
    scene.thief.reply = Reply(200, LAYER)
    scene.registry.faults.add("blobs", redirect=f"https://{VENDOR}:{port}/storage")
    assert await scene.blob() == LAYER
    assert [received.path for received in scene.thief.received] == ["/storage"]
    assert scene.safe()


async def test_authorization_that_comes_back_by_a_second_redirect(scene: Scene) -> None:
    """Who was redirected to cannot have the credential used on a path of the registry that it picks."""
    scene.registry.faults.add("blobs", redirect=f"{scene.thief_url}/bounce", times=1)
    scene.thief.reply = Reply(307, b"", {"Location": f"{scene.base_url}/v2/other/private/manifests/1.0"})
    await scene.refused(scene.blob())
    bounced = [seen for seen in scene.registry.requests if seen.repository == "other/private"]
    assert len(bounced) == 1
    assert "Authorization" not in bounced[0].headers


@pytest.mark.parametrize(
    "location",
    [
        pytest.param(location, id=what)
        for what, location in {
            "loopback": "https://127.0.0.1:{inside}/",
            "metadata-service": "https://169.254.169.254/latest/meta-data/",
            "private-network": "https://10.0.0.1/",
            "ipv6-loopback": "https://[::1]:{inside}/",
            "ipv4-in-ipv6": "https://[::ffff:127.0.0.1]:{inside}/",
            "nat64": "https://[64:ff9b::7f00:1]:{inside}/",
            "localhost": "https://localhost:{inside}/",
            "name-at-a-private-address": "https://internal.example:{inside}/",
            "http": "http://auth.vendor.example:{clear}/",
            "http-loopback": "http://127.0.0.1:{inside}/",
            "file": "file:///etc/passwd",
            "user-info": "https://alice:x@thief.example:{thief}/",
            "malformed": "https://thief.example:99999/",
        }.items()
    ],
)
@pytest.mark.parametrize("hop", ["first", "second"])
async def test_redirect_of_a_blob_to_a_forbidden_url(scene: Scene, location: str, hop: str) -> None:
    """Refused before a byte is sent, as the registry's own redirect and as that of the storage behind it."""
    scene.internet.resolve("internal.example", "127.0.0.1")
    location = location.format(**scene.ports())
    scene.thief.reply = Reply(302, b"", {"Location": location})
    target = location if hop == "first" else f"{scene.thief_url}/storage"
    scene.registry.faults.add("blobs", status=307, headers={"Location": target})
    await scene.refused(scene.blob())
    assert len(scene.thief.received) == (hop == "second")
    assert scene.safe()


async def test_redirects_without_end(scene: Scene) -> None:
    """A registry that sends its readers in circles is left after a few rounds."""
    scene.registry.faults.add("blobs", redirect=scene.base_url)
    assert "redirects more often" in await scene.refused(scene.blob())
    assert scene.registry.count(kind="blobs") < 10


async def test_name_that_resolves_to_a_private_address(scene: Scene) -> None:
    """An upstream by such a name is refused like the address itself."""
    scene.internet.resolve("registry.vendor.example", "127.0.0.1")
    assert "private or reserved address" in await scene.refused()
    assert scene.inside.received == []


async def test_name_that_changes_its_mind_after_the_check(scene: Scene) -> None:
    """The address that was checked is the one that is connected to (DNS rebinding)."""
    scene.internet.resolve("registry.vendor.example", scene.registry.host.partition(":")[0], "127.0.0.1")
    await scene.client().get_manifest("1.0")
    assert {seen.kind for seen in scene.registry.requests} == {"manifests"}
    assert scene.inside.received == []


async def test_blob_of_a_name_that_has_become_private(scene: Scene) -> None:
    """A node is handed a base URL, and looks anew at where it leads."""
    scene.internet.resolve("registry.vendor.example", "127.0.0.1")
    port = scene.inside.host.partition(":")[2]
    access = BlobAccess(
        f"https://registry.vendor.example:{port}", "team/app", f"Bearer {TOKEN}", allow_private=False
    )

    async def read() -> None:
        async with open_blob(scene.transport, access, IMAGE.layers[0].digest):
            pass

    assert "private or reserved address" in await scene.refused(read())
    assert scene.inside.received == []


@pytest.mark.parametrize(
    "link", ["{thief}/v2/team/app/tags/list", "http://127.0.0.1:1/", "//thief.example/", "file:///etc/passwd"]
)
async def test_link_to_the_next_tags(scene: Scene, link: str) -> None:
    """The next page of tags is one of this registry."""
    scene.registry.faults.add("tags", headers={"Link": f'<{link.format(thief=scene.thief_url)}>; rel="next"'})

    async def read() -> None:
        async for _ in scene.client().tag_pages():
            pass

    await scene.refused(read())
    assert scene.thief.received == []


async def test_digest_that_is_a_path(scene: Scene) -> None:
    """A digest that would climb out of the repository's path is none, wherever it comes from."""
    for text in ("sha256:../../../other/manifests/1.0", "../other", "sha256:" + "a" * 63 + "/"):
        with pytest.raises(ValueError, match="digest"):
            Digest.parse(text)
