"""Attacks by size and form of an answer: too large, endless, compressed, or to be read in two ways."""

import gzip
import json
from collections.abc import Iterator

import pytest

from clients.oci.media_types import OCI_INDEX, OCI_MANIFEST
from tests.attacks.scene import IMAGE, Scene
from tests.fakes.blobs import content_of
from tests.fakes.endpoint import Reply

MIB = 1024 * 1024
# What may be under way when a reader has had enough: its own limit, and buffers of TLS and sockets.
TOLERATED = 40 * MIB


class Endless(Iterator[bytes]):
    """A body that goes on for 100 MiB; `given` counts its bytes."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece * (64 * 1024 // len(piece))
        self.given = 0

    def __next__(self) -> bytes:
        if self.given >= 100 * MIB:
            raise StopIteration
        self.given += len(self._piece)
        return self._piece


@pytest.mark.parametrize("status", [200, 401, 500])
async def test_token_answer_of_100_mib(scene: Scene, status: int) -> None:
    """Good or bad, a token service's answer is read to a small limit and then left."""
    scene.name_realm(f"{scene.desk_url}/token")
    body = Endless(b" ")
    scene.desk.reply = Reply(status, body)
    sentence = await scene.refused()
    assert body.given < TOLERATED
    assert len(sentence) < 500


@pytest.mark.parametrize("kind", ["manifests", "tags"])
async def test_answer_of_100_mib(scene: Scene, kind: str) -> None:
    """A manifest and a tag page are read to their limits and then left."""
    scene.registry.faults.add(kind, body=bytes(100 * MIB))
    client = scene.client()
    assert "more than" in await scene.refused(
        client.get_manifest("1.0") if kind == "manifests" else client.check()
    )
    assert max(seen.sent for seen in scene.registry.requests) < TOLERATED


async def test_error_of_100_mib(scene: Scene) -> None:
    """An error's explanation is cut, not read whole."""
    body = json.dumps({"errors": [{"code": "X" * MIB, "message": "Y" * MIB}]}).encode() + bytes(100 * MIB)
    scene.registry.faults.add("manifests", status=403, body=body)
    assert len(await scene.refused()) < 500
    assert max(seen.sent for seen in scene.registry.requests) < TOLERATED


@pytest.mark.parametrize("kind", ["manifests", "tags", "token"])
async def test_gzip_encoded(scene: Scene, kind: str) -> None:
    """Nothing is unpacked that nobody asked to be packed: 100 MiB in 100 KiB stay 100 KiB."""
    bomb = gzip.compress(bytes(10 * MIB))
    packed = {"Content-Encoding": "gzip"}
    if kind == "token":
        scene.name_realm(f"{scene.desk_url}/token")
        scene.desk.reply = Reply(200, bomb, packed)
    else:
        scene.registry.faults.add(kind, body=bomb, headers=packed)
    client = scene.client()
    sentence = await scene.refused(client.check() if kind == "tags" else client.get_manifest("1.0"))
    assert "compressed" in sentence


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "x-unknown", "identity, gzip"])
async def test_gzip_encoded_blob(scene: Scene, encoding: str) -> None:
    """A blob is hashed as it was pushed, so that one in another coding is refused and not guessed at."""
    body = gzip.compress(content_of(IMAGE.layers[0]))
    scene.registry.faults.add("blobs", body=body, headers={"Content-Encoding": encoding})
    assert "compressed" in await scene.refused(scene.blob(""))


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        pytest.param(b"[" * 100_000, OCI_MANIFEST, id="deep"),
        pytest.param(
            json.dumps({"schemaVersion": 2, "manifests": [], "layers": [], "config": {}}).encode(),
            OCI_INDEX,
            id="index-and-image-at-once",
        ),
        pytest.param(IMAGE.manifest.replace(b"{", b'{"config": {},', 1), OCI_MANIFEST, id="key-twice"),
        pytest.param(IMAGE.manifest, OCI_INDEX, id="image-said-to-be-an-index"),
        pytest.param(IMAGE.manifest.replace(b'"size":', b'"size":-'), OCI_MANIFEST, id="negative-size"),
        pytest.param(
            IMAGE.manifest.replace(b"sha256:", b"sha256:../../"), OCI_MANIFEST, id="digest-that-is-a-path"
        ),
        pytest.param(b"<html>Sign in</html>", "text/html", id="web-page"),
    ],
)
async def test_manifest_that_can_be_read_in_two_ways(scene: Scene, body: bytes, media_type: str) -> None:
    """Two readers must not see two things in one manifest: whatever is ambiguous is refused."""
    headers = {"Content-Type": media_type, "Docker-Content-Digest": None}
    scene.registry.faults.add("manifests", body=body, headers=headers)
    assert "manifest" in await scene.refused()


async def test_manifest_under_another_digest(scene: Scene) -> None:
    """What is asked for by digest is what comes, whatever the registry says of it."""
    other = IMAGE.manifest.replace(b'"schemaVersion":2', b'"schemaVersion":2 ')
    scene.registry.faults.add("manifests", body=other)
    await scene.refused(scene.client().get_manifest(str(IMAGE.digest)))
    await scene.refused(scene.client().get_manifest("1.0"))


async def test_tag_pages_in_a_circle(scene: Scene) -> None:
    """A listing that never comes to an end is ended."""
    link = '</v2/team/app/tags/list?n=1&last=a>; rel="next"'
    scene.registry.faults.add("tags", headers={"Link": link})

    async def read() -> None:
        async for _ in scene.client().tag_pages():
            pass

    await scene.refused(read())
    assert scene.registry.count(kind="tags") < 100
