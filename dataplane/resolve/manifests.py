"""References to manifests: from memory, then disk, then the control plane."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamInvalid
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane, Reference
from dataplane.resolve.errors import ControlPlaneAway, Unknown
from dataplane.resolve.lookups import Lookups
from dataplane.resolve.manifest import ResolvedManifest
from dataplane.resolve.members import Members
from dataplane.resolve.memory import Memory
from dataplane.resolve.merge import Merge
from dataplane.resolve.shelf import Shelf

# What an entry costs beyond its content.
_ENTRY_BYTES: Final = 1024


class Manifests:
    """Resolves references for all requests of this node; concurrent misses of one key make one call.

    What was resolved under an older content revision than the artifact has now is stale: it is resolved
    again, and served only while the control plane cannot be asked. `max_bytes` bounds the memory.
    """

    def __init__(
        self, control: ControlPlane, shelf: Shelf, members: Members, lookups: Lookups, max_bytes: int
    ) -> None:
        self._control = control
        self._shelf = shelf
        self._members = members
        self._lookups = lookups
        self._memory: Memory[tuple[str, str | Digest], ResolvedManifest] = Memory(max_bytes)
        self._resolving: Merge[tuple[str, str | Digest, int], ResolvedManifest] = Merge()
        self._writing: set[asyncio.Task[None]] = set()

    def warm(self, artifact: ArtifactEntry, reference: str | Digest) -> ResolvedManifest | None:
        """Give what is in memory and not stale, without waiting for anything."""
        manifest = self._memory.get((artifact.uid, reference))
        if manifest is None or manifest.content_revision < artifact.content_revision:
            return None
        self._lookups.memory += 1
        return manifest

    async def get(self, artifact: ArtifactEntry, reference: str | Digest) -> ResolvedManifest:
        """Resolve a tag or digest; raises Unknown, and UpstreamError."""
        manifest = self.warm(artifact, reference)
        if manifest is not None:
            return manifest
        key = (artifact.uid, reference, artifact.content_revision)
        return await self._resolving.get(key, lambda: self._resolve(artifact, reference))

    async def stop(self) -> None:
        """Give up what is being resolved, and wait for what is being written."""
        await self._resolving.stop()
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def _resolve(self, artifact: ArtifactEntry, reference: str | Digest) -> ResolvedManifest:
        held = self._memory.get((artifact.uid, reference))
        if held is None:
            held = await self._shelf.get(artifact.uid, reference)
            if held is not None and held.content_revision >= artifact.content_revision:
                self._lookups.disk += 1
                self._keep(artifact.uid, {reference}, held)
                return held
        known = None if held is None else held.digest
        try:
            answer = await self._control.reference(artifact.uid, str(reference), known)
        except Unknown:
            self._memory.drop((artifact.uid, reference))
            self._write(self._shelf.remove(artifact.uid, reference))
            raise
        except ControlPlaneAway:
            if held is None:
                raise
            self._lookups.stale += 1
            self._members.note(artifact.uid, held)
            return held
        self._lookups.control_plane += 1
        manifest = _complete(answer, reference, held)
        references = {reference, manifest.digest}
        self._keep(artifact.uid, references, manifest)
        self._write(self._shelf.put(artifact.uid, references, manifest))
        return manifest

    def _keep(self, artifact_uid: str, references: set[str | Digest], manifest: ResolvedManifest) -> None:
        self._members.note(artifact_uid, manifest)
        for reference in references:
            self._memory.put((artifact_uid, reference), manifest, len(manifest.content) + _ENTRY_BYTES)

    def _write(self, work: Coroutine[Any, Any, None]) -> None:
        # The answer does not wait for the disk.
        task = asyncio.create_task(work)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)


def _complete(answer: Reference, reference: str | Digest, held: ResolvedManifest | None) -> ResolvedManifest:
    content = answer.content
    if not content and held is not None and held.digest == answer.digest:
        content = held.content
    asked = reference if isinstance(reference, Digest) else answer.digest
    if asked != answer.digest or not asked.matches(content):
        raise UpstreamInvalid("the control plane", "The control plane's answer is not what its digest names.")
    return ResolvedManifest(answer.digest, answer.media_type, content, answer.content_revision)
