"""What a node learns of blobs that are asked for alone, and keeps."""

import threading
from pathlib import Path

import pytest

from clients.control.client import ControlClient
from dataplane.resolve.disk import Disk
from dataplane.resolve.errors import Unknown
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.estate import FakeArtifact
from tests.fakes.images import Image, make_image
from tests.unit.dataplane.resolve.resolving import Resolving, entry


async def test_nobody_waits_for_a_slow_disk_and_what_was_learned_is_kept(
    node: Resolving,
    client: ControlClient,
    plane: FakeControlPlane,
    held: FakeArtifact,
    image: Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A blob's first byte does not wait until it is written down how large the blob is."""
    blob, writes = image.layers[0], threading.Event()
    write = Disk.write

    def write_late(disk: Disk, name: str, content: bytes) -> None:
        assert writes.wait(10)
        write(disk, name, content)

    monkeypatch.setattr(Disk, "write", write_late)
    try:
        assert await node.members.size(entry(held), blob.digest) == blob.size
    finally:
        writes.set()
    await node.members.stop()
    plane.calls.clear()
    again = Resolving(client, tmp_path)
    await again.members.recall_blob(held.uid, blob.digest)
    assert again.members.warm(entry(held), blob.digest) == blob.size
    assert not plane.calls
    await again.stop()


async def test_what_was_learned_counts_until_the_content_changes(
    node: Resolving, plane: FakeControlPlane, held: FakeArtifact, image: Image
) -> None:
    """A layer of an image that is gone is not served from memory to who knows its digest."""
    blob = image.layers[0]
    for _ in range(2):
        assert await node.members.size(entry(held), blob.digest) == blob.size
    assert plane.calls["ResolveBlob"] == 1
    held.manifests.clear()
    plane.hold(held, make_image([b"other"], seed=2), ["1.0"])
    assert node.members.warm(entry(held), blob.digest) is None
    with pytest.raises(Unknown):
        await node.members.size(entry(held), blob.digest)
