"""How a node resolves what it is asked for: the parts of `dataplane.resolve`, put together."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from clients.oci.digest import Digest
from clients.oci.transport import Transport
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.disk import Disk
from dataplane.resolve.lookups import Lookups
from dataplane.resolve.manifests import Manifests
from dataplane.resolve.members import Members
from dataplane.resolve.reach import Reach
from dataplane.resolve.referrers import ReferrerLists
from dataplane.resolve.shelf import Shelf
from dataplane.resolve.tags import TagLists
from dataplane.resolve.upstream import Grants, UpstreamBlob
from dataplane.resolve.witnesses import Witnesses


@dataclass(frozen=True, slots=True)
class Resolution:
    """References to manifests, digests to sizes and sources, and what leads to what."""

    shelf: Shelf
    manifests: Manifests
    members: Members
    reach: Reach
    tag_lists: TagLists
    referrer_lists: ReferrerLists
    grants: Grants
    transport: Transport

    @classmethod
    def make(
        cls,
        control: ControlPlane,
        transport: Transport,
        disk: Disk,
        lookups: Lookups,
        room: int,
        stack: AsyncExitStack,
    ) -> Self:
        """Put it together, to take up to `room` bytes of memory; the stack stops it."""
        grants = Grants(control)
        shelf = Shelf(disk)
        half = room // 2
        witnesses = Witnesses(half // 4)
        members = Members(control, shelf, half // 4, witnesses)
        manifests = Manifests(control, shelf, members, witnesses, lookups, half)
        reach = Reach(control, manifests, members, witnesses, half // 8)
        tag_lists = TagLists(control, disk, 3 * half // 8)
        referrer_lists = ReferrerLists(control, disk, witnesses)
        for part in (grants, members, manifests, reach, tag_lists, referrer_lists):
            stack.push_async_callback(part.stop)
        return cls(shelf, manifests, members, reach, tag_lists, referrer_lists, grants, transport)

    def source(self, artifact: ArtifactEntry, digest: Digest) -> UpstreamBlob:
        """Tell where a blob of an artifact can be fetched from."""
        return UpstreamBlob(self.grants, self.transport, artifact, digest)
