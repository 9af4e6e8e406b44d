"""Tags that the control plane wants to be asked about again."""

from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from clients.control.client import ControlClient
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.disk import Disk
from dataplane.resolve.lookups import Lookups
from dataplane.resolve.manifests import Manifests
from dataplane.resolve.members import Members
from dataplane.resolve.shelf import Shelf
from dataplane.resolve.witnesses import Witnesses
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import make_image

_IMAGE = make_image()


class _Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_a_tag_is_asked_for_again_at_its_age_and_a_digest_is_not(
    plane: FakeControlPlane, tmp_path: Path
) -> None:
    """From memory until then, from the control plane after it, and from memory still while that is away."""
    artifact = plane.add_artifact("acme/app")
    artifact.max_age = Duration(seconds=60)
    plane.hold(artifact, _IMAGE, ["1.0"])
    entry = ArtifactEntry(
        artifact.uid, artifact.organization_uid, artifact.repository, artifact.content_revision
    )
    clock, disk = _Clock(), Disk(tmp_path, 1 << 20)
    disk.prepare()
    async with ControlClient(plane.address, plane.token) as client:
        control, shelf = ControlPlane(client.nodes, 0), Shelf(disk)
        witnesses = Witnesses(1 << 20)
        members = Members(control, shelf, 1 << 20, witnesses)
        manifests = Manifests(control, shelf, members, witnesses, Lookups(), 1 << 20, clock)

        await manifests.get(entry, "1.0")
        clock.now += 59
        await manifests.get(entry, "1.0")
        assert plane.calls["ResolveReference"] == 1

        clock.now += 2
        assert manifests.warm(entry, "1.0") is None
        assert manifests.warm(entry, _IMAGE.digest) is not None
        await manifests.get(entry, "1.0")
        assert plane.calls["ResolveReference"] == 2

        # A clock that was set back would make it last.
        clock.now -= 1000
        await manifests.get(entry, "1.0")
        assert plane.calls["ResolveReference"] == 3

        clock.now += 61
        await plane.stop()
        assert (await manifests.get(entry, "1.0")).digest == _IMAGE.digest
        await manifests.stop()
        await members.stop()

    # The next process finds on disk what had grown old before it began.
    await plane.start()
    async with ControlClient(plane.address, plane.token) as client:
        control = ControlPlane(client.nodes, 0)
        witnesses = Witnesses(1 << 20)
        members = Members(control, shelf, 1 << 20, witnesses)
        manifests = Manifests(control, shelf, members, witnesses, Lookups(), 1 << 20, clock)
        await manifests.get(entry, "1.0")
        assert plane.calls["ResolveReference"] == 4
        await manifests.stop()
        await members.stop()
