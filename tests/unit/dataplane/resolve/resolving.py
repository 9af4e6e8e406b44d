"""What a node resolves with, on one directory."""

from pathlib import Path

from clients.control.client import ControlClient
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.disk import Disk
from dataplane.resolve.lookups import Lookups
from dataplane.resolve.manifests import Manifests
from dataplane.resolve.members import Members
from dataplane.resolve.shelf import Shelf
from dataplane.resolve.tags import TagLists
from dataplane.resolve.witnesses import Witnesses
from tests.fakes.estate import FakeArtifact


class Resolving:
    """What a node resolves with, on one directory."""

    def __init__(self, client: ControlClient, root: Path, memory: int = 1 << 20, patience: float = 0) -> None:
        disk = Disk(root, 1 << 20)
        disk.prepare()
        control, shelf = ControlPlane(client.nodes, patience), Shelf(disk)
        self.lookups = Lookups()
        self.witnesses = Witnesses(memory)
        self.members = Members(control, shelf, memory, self.witnesses)
        self.manifests = Manifests(control, shelf, self.members, self.witnesses, self.lookups, memory)
        self.tags = TagLists(control, disk, memory)

    async def stop(self) -> None:
        for part in (self.members, self.manifests, self.tags):
            await part.stop()


def entry(artifact: FakeArtifact) -> ArtifactEntry:
    """The artifact as a node's configuration has it now."""
    return ArtifactEntry(
        artifact.uid, artifact.organization_uid, artifact.repository, artifact.content_revision
    )
