"""References: where the answers come from, when they are stale, and what is left without a control plane."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from clients.control.client import ControlClient
from clients.oci.digest import Digest
from clients.oci.errors import (
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from dataplane.resolve.control import ControlPlane, Reference
from dataplane.resolve.errors import ControlPlaneAway, ControlPlaneSilent, Missing, Unknown
from tests.fakes.aborts import Fault
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.estate import FakeArtifact
from tests.fakes.images import Image, make_image, make_index
from tests.unit.dataplane.resolve.resolving import Resolving, entry


async def test_one_question_answers_tag_and_digest(
    plane: FakeControlPlane, node: Resolving, held: FakeArtifact, image: Image
) -> None:
    """Byte for byte, and from memory from then on."""
    for reference in ("1.0", image.digest, "1.0"):
        manifest = await node.manifests.get(entry(held), reference)
        assert (manifest.content, manifest.media_type) == (image.manifest, image.media_type)
        assert manifest.digest == image.digest
    assert plane.calls["ResolveReference"] == 1
    assert (node.lookups.control_plane, node.lookups.memory) == (1, 2)


async def test_concurrent_misses_make_one_call(
    plane: FakeControlPlane, node: Resolving, held: FakeArtifact
) -> None:
    """However many clients come at once."""
    found = await asyncio.gather(*(node.manifests.get(entry(held), "1.0") for _ in range(100)))
    assert len(set(map(id, found))) == 1
    assert plane.calls["ResolveReference"] == 1


async def test_a_tag_that_moved_is_resolved_again(
    plane: FakeControlPlane, node: Resolving, held: FakeArtifact, image: Image
) -> None:
    """As soon as the configuration names the later content revision, and not before."""
    before = entry(held)
    await node.manifests.get(before, "1.0")
    newer = make_image(seed=1)
    plane.hold(held, newer, ["1.0"])
    assert (await node.manifests.get(before, "1.0")).digest == image.digest
    assert (await node.manifests.get(entry(held), "1.0")).digest == newer.digest
    assert plane.calls["ResolveReference"] == 2


async def test_content_that_is_known_is_not_sent_again(
    plane: FakeControlPlane, node: Resolving, held: FakeArtifact, image: Image
) -> None:
    """A sync that moved other tags costs a small question only."""
    await node.manifests.get(entry(held), "1.0")
    plane.touch(held)
    manifest = await node.manifests.get(entry(held), "1.0")
    assert manifest.content == image.manifest
    assert manifest.content_revision == held.content_revision


async def test_the_next_process_finds_it_on_disk(
    plane: FakeControlPlane, client: ControlClient, tmp_path: Path, held: FakeArtifact, image: Image
) -> None:
    """Also where the control plane is away by then, by tag and by digest, blobs included."""
    first = Resolving(client, tmp_path)
    await first.manifests.get(entry(held), "1.0")
    await first.stop()
    await plane.stop()
    second = Resolving(client, tmp_path)
    assert (await second.manifests.get(entry(held), "1.0")).content == image.manifest
    assert second.lookups.disk == 1
    third = Resolving(client, tmp_path)
    for digest, blob in image.blobs.items():
        assert await third.members.size(entry(held), digest) == blob.size
    with pytest.raises(ControlPlaneAway):
        await third.members.size(entry(held), Digest.of(b"never heard of"))
    await second.stop()
    await third.stop()


async def test_stale_is_served_only_while_the_control_plane_is_away(
    plane: FakeControlPlane, node: Resolving, held: FakeArtifact, image: Image
) -> None:
    """And counted as such; what was never resolved is 'away', not 'unknown'."""
    await node.manifests.get(entry(held), "1.0")
    newer = make_image(seed=1)
    plane.hold(held, newer, ["1.0"])
    await plane.stop()
    assert (await node.manifests.get(entry(held), "1.0")).digest == image.digest
    assert node.lookups.stale == 1
    with pytest.raises(ControlPlaneAway):
        await node.manifests.get(entry(held), "2.0")
    await plane.start()
    async with asyncio.timeout(20):
        while (await node.manifests.get(entry(held), "1.0")).digest != newer.digest:  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.05)


async def test_a_tag_that_went_is_unknown(
    plane: FakeControlPlane, client: ControlClient, node: Resolving, held: FakeArtifact, tmp_path: Path
) -> None:
    """It is not served from memory or disk afterwards, not even without a control plane."""
    await node.manifests.get(entry(held), "1.0")
    del held.tags["1.0"]
    plane.touch(held)
    with pytest.raises(Unknown) as caught:
        await node.manifests.get(entry(held), "1.0")
    assert caught.value.missing is Missing.MANIFEST
    await node.stop()
    await plane.stop()
    for resolving in (node, Resolving(client, tmp_path)):
        with pytest.raises(ControlPlaneAway):
            await resolving.manifests.get(entry(held), "1.0")


@pytest.mark.parametrize(
    ("fault", "expected", "retry_after"),
    [
        (Fault(grpc.StatusCode.NOT_FOUND, "MANIFEST_UNKNOWN"), Unknown, None),
        (Fault(grpc.StatusCode.NOT_FOUND, "ARTIFACT_UNKNOWN"), Unknown, None),
        (Fault(grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE", retry_after=9), UpstreamUnavailable, 9),
        (Fault(grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_DENIED"), UpstreamDenied, None),
        (Fault(grpc.StatusCode.FAILED_PRECONDITION, "UPSTREAM_INVALID"), UpstreamInvalid, None),
        (
            Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, "UPSTREAM_RATE_LIMITED", retry_after=30),
            UpstreamRateLimited,
            30,
        ),
        (Fault(grpc.StatusCode.UNAVAILABLE), ControlPlaneAway, None),
        (Fault(grpc.StatusCode.DEADLINE_EXCEEDED), ControlPlaneSilent, None),
        (Fault(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"), ControlPlaneAway, None),
        (Fault(grpc.StatusCode.INTERNAL), UpstreamUnavailable, None),
        (Fault(grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID"), UpstreamUnavailable, None),
    ],
)
async def test_errors_have_one_meaning(
    plane: FakeControlPlane,
    node: Resolving,
    held: FakeArtifact,
    fault: Fault,
    expected: type[Exception],
    retry_after: float | None,
) -> None:
    """By the reason that the control plane gives, with the time to wait where it knows."""
    plane.faults["ResolveReference"] = fault
    with pytest.raises(expected) as caught:
        await node.manifests.get(entry(held), "1.0")
    assert type(caught.value) is expected
    if isinstance(caught.value, UpstreamError):
        assert caught.value.retry_after == retry_after
    # Nothing of it is remembered.
    del plane.faults["ResolveReference"]
    assert await node.manifests.get(entry(held), "1.0")


async def test_trouble_with_the_upstream_does_not_make_stale_good(
    plane: FakeControlPlane, node: Resolving, held: FakeArtifact
) -> None:
    """The control plane was asked, and said so."""
    await node.manifests.get(entry(held), "1.0")
    plane.touch(held)
    plane.faults["ResolveReference"] = Fault(grpc.StatusCode.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
    with pytest.raises(UpstreamUnavailable):
        await node.manifests.get(entry(held), "1.0")


async def test_content_that_is_not_what_its_digest_names_is_refused(
    plane: FakeControlPlane, node: Resolving, held: FakeArtifact, image: Image
) -> None:
    """Whoever changed it on the way."""
    other = make_image(seed=5)
    held.manifests[image.digest] = held.manifests[image.digest].parse(other.manifest, other.media_type)
    with pytest.raises(UpstreamInvalid):
        await node.manifests.get(entry(held), "1.0")


@pytest.mark.parametrize("by_digest", [True, False])
async def test_an_answer_for_another_digest_is_refused(
    client: ControlClient, node: Resolving, held: FakeArtifact, image: Image, by_digest: bool
) -> None:
    """Though the content is what was asked for: it would be served under a name that is not its own."""

    class Mistaken(ControlPlane):
        async def reference(self, *asked: Any) -> Reference:
            return replace(await super().reference(*asked), digest=make_image(seed=5).digest)

    node.manifests._control = Mistaken(client.nodes, 0)
    with pytest.raises(UpstreamInvalid):
        await node.manifests.get(entry(held), image.digest if by_digest else "1.0")


async def test_a_damaged_file_is_resolved_again(
    plane: FakeControlPlane, client: ControlClient, tmp_path: Path, held: FakeArtifact, image: Image
) -> None:
    """It is never served."""
    first = Resolving(client, tmp_path)
    await first.manifests.get(entry(held), "1.0")
    await first.stop()
    path = tmp_path / held.uid / "manifests" / "1.0"
    path.write_bytes(path.read_bytes().replace(b"sha256", b"sha255"))
    second = Resolving(client, tmp_path)
    assert (await second.manifests.get(entry(held), "1.0")).content == image.manifest
    assert second.lookups.disk == 0
    await second.stop()


async def test_without_memory_the_disk_serves(
    plane: FakeControlPlane, client: ControlClient, tmp_path: Path, held: FakeArtifact
) -> None:
    """A cache that is set too small costs time and nothing else."""
    node = Resolving(client, tmp_path, memory=0)
    for _ in range(3):
        await node.manifests.get(entry(held), "1.0")
        await node.manifests.stop()
    assert plane.calls["ResolveReference"] == 1
    assert node.lookups.disk == 2


async def test_blobs_of_a_resolved_manifest_need_no_question(
    plane: FakeControlPlane, node: Resolving, held: FakeArtifact, image: Image
) -> None:
    """Others do, once; and one that no manifest of the artifact has is unknown."""
    config, layer, *_ = image.blobs
    assert await node.members.size(entry(held), layer) == image.blobs[layer].size
    assert plane.calls["ResolveBlob"] == 1
    await node.manifests.get(entry(held), "1.0")
    for digest in image.blobs:
        assert await node.members.size(entry(held), digest) == image.blobs[digest].size
    assert plane.calls["ResolveBlob"] == 1
    assert config != layer
    with pytest.raises(Unknown) as caught:
        await node.members.size(entry(held), Digest.of(b"foreign"))
    assert caught.value.missing is Missing.BLOB


async def test_a_blob_of_another_artifact_is_unknown(
    plane: FakeControlPlane, node: Resolving, held: FakeArtifact, image: Image
) -> None:
    """A digest is not a capability, also for a node that has resolved it elsewhere."""
    other = plane.add_artifact("acme/other")
    await node.manifests.get(entry(held), "1.0")
    with pytest.raises(Unknown):
        await node.members.size(entry(other), next(iter(image.blobs)))


async def test_what_was_learned_of_blobs_grows_old_as_well(
    plane: FakeControlPlane, node: Resolving, held: FakeArtifact, image: Image
) -> None:
    """After a change of content the question is asked again; an index has no blobs of its own."""
    await node.manifests.get(entry(held), "1.0")
    held.manifests.clear()
    plane.hold(held, make_index([make_image(seed=3)]), ["1.0"])
    with pytest.raises(Unknown):
        await node.members.size(entry(held), next(iter(image.blobs)))


async def test_tags_are_listed_once_for_each_content_revision(
    plane: FakeControlPlane, client: ControlClient, tmp_path: Path, node: Resolving, held: FakeArtifact
) -> None:
    """In order, over many messages, from disk after a restart, and stale without a control plane."""
    held.tags |= dict.fromkeys((f"build-{number}" for number in range(2500)), next(iter(held.manifests)))
    plane.touch(held)
    listed = [await node.tags.get(entry(held)) for _ in range(3)]
    assert listed[0].lines.decode().split() == sorted(held.tags)
    assert plane.calls["StreamTags"] == 1
    second = Resolving(client, tmp_path)
    assert await second.tags.get(entry(held)) == listed[0]
    assert plane.calls["StreamTags"] == 1
    held.tags["new"] = next(iter(held.manifests))
    plane.touch(held)
    assert "new" in (await node.tags.get(entry(held))).lines.decode().split()
    await plane.stop()
    plane.touch(held)
    assert "new" in (await node.tags.get(entry(held))).lines.decode().split()
    with pytest.raises(ControlPlaneAway):
        await Resolving(client, tmp_path / "empty").tags.get(entry(held))


async def test_a_short_absence_is_waited_out(
    plane: FakeControlPlane, client: ControlClient, tmp_path: Path, held: FakeArtifact, image: Image
) -> None:
    """Whoever would get nothing else waits for a control plane that restarts; others are served at once."""
    node = Resolving(client, tmp_path, patience=20)
    other = make_image(seed=4)
    plane.hold(held, other, ["2.0"])
    await node.manifests.get(entry(held), "1.0")
    blob = next(iter(other.blobs))
    await plane.stop()
    waiting = [
        asyncio.create_task(node.manifests.get(entry(held), "2.0")),
        asyncio.create_task(node.members.size(entry(held), blob)),
        asyncio.create_task(node.tags.get(entry(held))),
    ]
    plane.touch(held)
    assert (await node.manifests.get(entry(held), "1.0")).content == image.manifest
    assert not any(task.done() for task in waiting)
    await plane.start()
    manifest, size, tags = await asyncio.gather(*waiting)
    assert (manifest.content, size) == (other.manifest, other.blobs[blob].size)
    assert tags.lines == b"1.0\n2.0\n"
    await node.stop()


async def test_a_control_plane_that_does_not_answer_is_not_asked_twice(
    plane: FakeControlPlane, client: ControlClient, tmp_path: Path, held: FakeArtifact
) -> None:
    """Waiting for the second answer would take as long as for the first."""
    node = Resolving(client, tmp_path, patience=20)
    plane.faults["ResolveReference"] = Fault(grpc.StatusCode.DEADLINE_EXCEEDED)
    with pytest.raises(ControlPlaneAway):
        await node.manifests.get(entry(held), "1.0")
    assert plane.calls["ResolveReference"] == 1
    await node.stop()
