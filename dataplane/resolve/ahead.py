"""What is got ready while a client still reads a manifest: it asks for the blobs next."""

from collections.abc import Callable

from clients.oci.digest import Digest
from clients.process.merge import Merge
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import Grant
from dataplane.resolve.manifest import ResolvedManifest
from dataplane.resolve.upstream import Grants


class Ahead:
    """Asks for access to the upstream of blobs that this node has not got, and tells its other workers.

    `holds` tells whether a digest of a size is here, or on its way. `tell` brings an artifact's uid and the
    digest of a manifest to the workers that a client's next connection may lead to. `stop` it at the end.
    """

    def __init__(
        self, grants: Grants, holds: Callable[[Digest, int], bool], tell: Callable[[str, Digest], None]
    ) -> None:
        self._grants = grants
        self._holds = holds
        self._tell = tell
        self._asking: Merge[str, Grant] = Merge()

    def resolved(self, artifact: ArtifactEntry, manifest: ResolvedManifest) -> None:
        """Take note of a manifest that the control plane was asked for."""
        parsed = manifest.parsed()
        if parsed is None:
            return
        if not all(self._holds(blob.digest, blob.size) for blob in parsed.blobs):
            self._tell(artifact.uid, manifest.digest)
            # What goes wrong is told to whoever asks for a blob, and asks again.
            self._asking.begin(artifact.uid, lambda: self._grants.get(artifact))

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._asking.stop()
