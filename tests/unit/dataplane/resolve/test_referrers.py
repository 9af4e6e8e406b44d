"""Lists of referrers: from the control plane, and what is left without it."""

from pathlib import Path

import pytest

from clients.control.client import ControlClient
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.disk import Disk
from dataplane.resolve.errors import ControlPlaneAway
from dataplane.resolve.referrers import ReferrerLists
from dataplane.resolve.witnesses import Witnesses
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.estate import FakeArtifact
from tests.fakes.images import make_artifact, make_image

_IMAGE = make_image()
_SIGNATURE = make_artifact("application/vnd.signature", subject=_IMAGE, annotations={"by": "me"})


@pytest.fixture
def artifact(plane: FakeControlPlane) -> FakeArtifact:
    """An artifact with an image that is signed."""
    artifact = plane.add_artifact("acme/app")
    plane.hold(artifact, _IMAGE, ["1.0"])
    plane.hold(artifact, _SIGNATURE)
    return artifact


def _lists(client: ControlClient, root: Path) -> ReferrerLists:
    disk = Disk(root, 1 << 20)
    disk.prepare()
    return ReferrerLists(ControlPlane(client.nodes, 0), disk, Witnesses(1 << 20))


def _entry(artifact: FakeArtifact) -> ArtifactEntry:
    return ArtifactEntry(
        artifact.uid, artifact.organization_uid, artifact.repository, artifact.content_revision
    )


async def test_what_is_new_is_seen_at_once(
    plane: FakeControlPlane, artifact: FakeArtifact, tmp_path: Path
) -> None:
    """Without the artifact's content revision being another."""
    async with ControlClient(plane.address, plane.token) as client:
        lists = _lists(client, tmp_path)
        (referrer,) = await lists.get(_entry(artifact), _IMAGE.digest)
        assert (referrer.digest, referrer.artifact_type) == (
            str(_SIGNATURE.digest),
            "application/vnd.signature",
        )
        assert referrer.annotations == {"by": "me"}

        entry = _entry(artifact)
        plane.hold(artifact, make_artifact(payload=b"another", subject=_IMAGE))
        assert len(await lists.get(entry, _IMAGE.digest)) == 2


async def test_what_was_seen_is_left_when_the_control_plane_is_away(
    plane: FakeControlPlane, artifact: FakeArtifact, tmp_path: Path
) -> None:
    """Also to the next process, and also that there are none; what was never asked for is not made up."""
    async with ControlClient(plane.address, plane.token) as client:
        lists = _lists(client, tmp_path)
        seen = await lists.get(_entry(artifact), _IMAGE.digest)
        assert await lists.get(_entry(artifact), _SIGNATURE.digest) == []
        await plane.stop()

        lists = _lists(client, tmp_path)
        assert await lists.get(_entry(artifact), _IMAGE.digest) == seen
        assert await lists.get(_entry(artifact), _SIGNATURE.digest) == []
        with pytest.raises(ControlPlaneAway):
            await lists.get(_entry(artifact), make_image(seed=9).digest)
