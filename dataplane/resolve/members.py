"""Which blobs an artifact reaches, and how large they are."""

from collections import deque
from functools import partial
from typing import Final

from clients.oci.digest import Digest
from clients.process.merge import Merge
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.behind import Behind
from dataplane.resolve.blob import ResolvedBlob
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.errors import ControlPlaneAway, Unknown
from dataplane.resolve.manifest import ResolvedManifest
from dataplane.resolve.memory import Memory
from dataplane.resolve.shelf import Shelf
from dataplane.resolve.witnesses import Witnesses

# What an entry costs: two keys' worth of text, and the dictionary's share.
_ENTRY_BYTES: Final = 512
# Manifests that other workers resolved, and nobody has asked this one for a blob of.
_MOST_HEARD: Final = 256


class Members:
    """Answers from the manifests that this node resolved; asks the control plane for the others.

    What it asked is kept on disk as well: a blob may be pulled from this node, and its manifest from another.

    `max_bytes` bounds the memory. What was learned under an older content revision is asked again, and
    counts only while the control plane cannot be asked.
    """

    def __init__(self, control: ControlPlane, shelf: Shelf, max_bytes: int, witnesses: Witnesses) -> None:
        self._control = control
        self._shelf = shelf
        self._witnesses = witnesses
        # Size in bytes and content revision, by artifact uid and digest.
        self._known: Memory[tuple[str, Digest], tuple[int, int]] = Memory(max_bytes)
        self._asking: Merge[tuple[str, Digest, int], int] = Merge()
        self._reading: Merge[str, None] = Merge()
        self._heard: deque[tuple[str, Digest]] = deque(maxlen=_MOST_HEARD)
        self._behind = Behind()

    def note(self, artifact_uid: str, manifest: ResolvedManifest) -> None:
        """Learn the blobs of a manifest that the artifact reaches, and pass its witnesses on to members."""
        self._witnesses.note(artifact_uid, (manifest.digest,), manifest.witnesses)
        parsed = manifest.parsed()
        if parsed is None:
            # The control plane is asked blob by blob.
            return
        for blob in parsed.blobs:
            self.put(artifact_uid, blob.digest, blob.size, manifest.content_revision)
        members = (*parsed.manifests, *parsed.blobs)
        self._witnesses.note(artifact_uid, (member.digest for member in members), manifest.witnesses)

    def put(self, artifact_uid: str, digest: Digest, size: int, revision: int) -> None:
        """Learn the size in bytes of a blob that the artifact reaches, at a content revision."""
        self._known.put((artifact_uid, digest), (size, revision), _ENTRY_BYTES)

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
        return await self._asking.run(key, lambda: self._ask(artifact, digest))

    def hear(self, artifact_uid: str, digest: Digest) -> None:
        """Take note of a manifest that another worker has resolved."""
        self._heard.append((artifact_uid, digest))

    async def catch_up(self, artifact_uid: str) -> None:
        """Learn what other workers have resolved of an artifact since the last time."""
        heard = [entry for entry in self._heard if entry[0] == artifact_uid]
        for entry in heard:
            self._heard.remove(entry)
        for _, digest in heard:
            await self._read(artifact_uid, digest)

    async def recall(self, artifact_uid: str) -> None:
        """Learn again what was learned of an artifact, by this process or one before it."""
        # Merged, so that a client that guesses digests keeps no more than one reader busy.
        await self._reading.run(artifact_uid, lambda: self._read_shelf(artifact_uid))

    def keep(self, artifact_uid: str, digest: Digest) -> None:
        """Have what is known of a blob that the control plane was asked about kept on disk, tags included."""
        known = self._known.get((artifact_uid, digest))
        if known is not None:
            blob = ResolvedBlob(*known, self._witnesses.of(artifact_uid, digest))
            self._behind.do(self._keep(artifact_uid, digest, blob))

    async def recall_blob(self, artifact_uid: str, digest: Digest) -> None:
        """Learn again what was kept of one blob, tags that lead to it included."""
        kept = await self._shelf.blob(artifact_uid, digest)
        if kept is None:
            return
        self._witnesses.note(artifact_uid, (digest,), kept.witnesses)
        known = self._known.get((artifact_uid, digest))
        if known is None or known[1] < kept.content_revision:
            self.put(artifact_uid, digest, kept.size, kept.content_revision)

    async def stop(self) -> None:
        """Give up what is being asked, and wait for what is being written."""
        await self._asking.stop()
        await self._reading.stop()
        await self._behind.stop()

    async def _ask(self, artifact: ArtifactEntry, digest: Digest) -> int:
        artifact_uid = artifact.uid
        await self.catch_up(artifact_uid)
        size = self.warm(artifact, digest)
        if size is not None:
            return size
        ask = partial(self._control.blob, artifact_uid, digest)
        try:
            blob = await ask()
        except Unknown:
            self._known.drop((artifact_uid, digest))
            self._behind.do(self._shelf.remove_blob(artifact_uid, digest))
            raise
        except ControlPlaneAway:
            remembered = await self._remember(artifact_uid, digest)
            if remembered is not None:
                return remembered
            blob = await self._control.patiently(ask)
        self.put(artifact_uid, digest, blob.size, blob.content_revision)
        self.keep(artifact_uid, digest)
        return blob.size

    async def _keep(self, artifact_uid: str, digest: Digest, blob: ResolvedBlob) -> None:
        kept = await self._shelf.blob(artifact_uid, digest)
        blob = blob.joined(kept)
        if blob != kept:
            await self._shelf.put_blob(artifact_uid, digest, blob)

    async def _remember(self, artifact_uid: str, digest: Digest) -> int | None:
        """Look through what was resolved earlier, by this process or one before it."""
        if self._known.get((artifact_uid, digest)) is None:
            await self.recall_blob(artifact_uid, digest)
        if self._known.get((artifact_uid, digest)) is None:
            await self.recall(artifact_uid)
        known = self._known.get((artifact_uid, digest))
        return None if known is None else known[0]

    async def _read_shelf(self, artifact_uid: str) -> None:
        for reference in await self._shelf.digests(artifact_uid):
            await self._read(artifact_uid, reference)

    async def _read(self, artifact_uid: str, digest: Digest) -> None:
        manifest = await self._shelf.get(artifact_uid, digest)
        if manifest is not None:
            self.note(artifact_uid, manifest)
