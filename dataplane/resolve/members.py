"""Which blobs an artifact reaches, and how large they are."""

from functools import partial
from typing import Final

from clients.oci.digest import Digest
from clients.oci.manifest import InvalidManifest, Manifest
from clients.process.merge import Merge
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.errors import ControlPlaneAway, Unknown
from dataplane.resolve.manifest import ResolvedManifest
from dataplane.resolve.memory import Memory
from dataplane.resolve.shelf import Shelf

# What an entry costs: two keys' worth of text, and the dictionary's share.
_ENTRY_BYTES: Final = 512


class Members:
    """Answers from the manifests that this node resolved; asks the control plane for the others.

    `max_bytes` bounds the memory. What was learned under an older content revision is asked again, and
    counts only while the control plane cannot be asked.
    """

    def __init__(self, control: ControlPlane, shelf: Shelf, max_bytes: int) -> None:
        self._control = control
        self._shelf = shelf
        # Size in bytes and content revision, by artifact uid and digest.
        self._known: Memory[tuple[str, Digest], tuple[int, int]] = Memory(max_bytes)
        self._asking: Merge[tuple[str, Digest, int], int] = Merge()
        self._reading: Merge[str, None] = Merge()

    def note(self, artifact_uid: str, manifest: ResolvedManifest) -> None:
        """Learn the blobs of a manifest that the artifact reaches."""
        try:
            blobs = Manifest.parse(manifest.content, manifest.media_type).blobs
        except InvalidManifest:
            # The control plane may be newer and know more kinds: it is then asked blob by blob.
            return
        for blob in blobs:
            self._put(artifact_uid, blob.digest, blob.size, manifest.content_revision)

    def warm(self, artifact: ArtifactEntry, digest: Digest) -> int | None:
        """Give the size of a blob where it is known without asking."""
        known = self._known.get((artifact.uid, digest))
        return known[0] if known is not None and known[1] >= artifact.content_revision else None

    async def size(self, artifact: ArtifactEntry, digest: Digest) -> int:
        """Give the size of a blob that the artifact reaches, in bytes.

        Raises Unknown where it reaches none of this digest, and UpstreamError.
        """
        size = self.warm(artifact, digest)
        if size is not None:
            return size
        key = (artifact.uid, digest, artifact.content_revision)
        return await self._asking.run(key, lambda: self._ask(artifact.uid, digest))

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._asking.stop()
        await self._reading.stop()

    async def _ask(self, artifact_uid: str, digest: Digest) -> int:
        ask = partial(self._control.blob, artifact_uid, digest)
        try:
            size, revision = await ask()
        except Unknown:
            self._known.drop((artifact_uid, digest))
            raise
        except ControlPlaneAway:
            remembered = await self._remember(artifact_uid, digest)
            if remembered is not None:
                return remembered
            size, revision = await self._control.patiently(ask)
        self._put(artifact_uid, digest, size, revision)
        return size

    async def _remember(self, artifact_uid: str, digest: Digest) -> int | None:
        """Look through what was resolved earlier, by this process or one before it."""
        if self._known.get((artifact_uid, digest)) is None:
            # Merged, so that a client that guesses digests keeps no more than one reader busy.
            await self._reading.run(artifact_uid, lambda: self._read_shelf(artifact_uid))
        known = self._known.get((artifact_uid, digest))
        return None if known is None else known[0]

    async def _read_shelf(self, artifact_uid: str) -> None:
        for reference in await self._shelf.digests(artifact_uid):
            manifest = await self._shelf.get(artifact_uid, reference)
            if manifest is not None:
                self.note(artifact_uid, manifest)

    def _put(self, artifact_uid: str, digest: Digest, size: int, revision: int) -> None:
        self._known.put((artifact_uid, digest), (size, revision), _ENTRY_BYTES)
