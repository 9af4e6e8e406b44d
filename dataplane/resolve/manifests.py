"""References to manifests: from memory, then disk, then the control plane."""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, NamedTuple

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamInvalid
from clients.process.merge import Merge
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.behind import Behind
from dataplane.resolve.control import ControlPlane, Reference
from dataplane.resolve.errors import ControlPlaneAway, Unknown
from dataplane.resolve.lookups import Lookups
from dataplane.resolve.manifest import ResolvedManifest
from dataplane.resolve.members import Members
from dataplane.resolve.memory import Memory
from dataplane.resolve.shelf import Shelf
from dataplane.resolve.witnesses import Witness, Witnesses, join

# What an entry costs beyond its content.
_ENTRY_BYTES: Final = 1024


class Held(NamedTuple):
    """What a node has of a reference."""

    manifest: ResolvedManifest
    stale: bool
    """Whether it would ask the control plane again before it serves this."""


class Manifests:
    """Resolves references for all requests of this node; concurrent misses of one key make one call.

    What was resolved under an older content revision than the artifact has now is stale, and so is a tag
    that is older than the control plane allowed: it is resolved again, and served only while the control
    plane cannot be asked. `max_bytes` bounds the memory, `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        control: ControlPlane,
        shelf: Shelf,
        members: Members,
        witnesses: Witnesses,
        lookups: Lookups,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.resolved: list[Callable[[ArtifactEntry, ResolvedManifest], None]] = []
        """Are told of what the control plane was asked for."""
        self._control = control
        self._shelf = shelf
        self._members = members
        self._witnesses = witnesses
        self._lookups = lookups
        self._clock = clock
        self._memory: Memory[tuple[str, str | Digest], ResolvedManifest] = Memory(max_bytes)
        self._resolving: Merge[tuple[str, str | Digest, int], ResolvedManifest] = Merge()
        self._behind = Behind()

    def warm(self, artifact: ArtifactEntry, reference: str | Digest) -> ResolvedManifest | None:
        """Give what is in memory and not stale, without waiting for anything."""
        manifest = self._memory.get((artifact.uid, reference))
        if manifest is None or self._is_stale(manifest, artifact, reference):
            return None
        self._lookups.memory += 1
        return manifest

    async def get(self, artifact: ArtifactEntry, reference: str | Digest) -> ResolvedManifest:
        """Resolve a tag or digest; raises Unknown, and UpstreamError."""
        manifest = self.warm(artifact, reference)
        if manifest is not None:
            return manifest
        key = (artifact.uid, reference, artifact.content_revision)
        return await self._resolving.run(key, lambda: self._resolve(artifact, reference))

    async def held(self, artifact: ArtifactEntry, reference: str | Digest) -> Held | None:
        """Give what this node has of a tag or digest, in memory or on disk, without asking anybody."""
        found = self._memory.get((artifact.uid, reference))
        found = found or await self._shelf.get(artifact.uid, reference)
        return None if found is None else Held(found, self._is_stale(found, artifact, reference))

    async def recall(self, artifact_uid: str, digest: Digest) -> None:
        """Learn again which tags were known to lead to a manifest that this node has, stale or not."""
        held = self._memory.get((artifact_uid, digest)) or await self._shelf.get(artifact_uid, digest)
        if held is not None:
            self._members.note(artifact_uid, held)

    def renew(self, artifact_uid: str, digest: Digest) -> None:
        """Hand on to the members of a manifest, and keep, what is known by now of tags that lead to it."""
        held = self._memory.get((artifact_uid, digest))
        if held is not None:
            self._put(artifact_uid, {digest}, held, kept=held)

    async def stands(self, artifact_uid: str, witness: Witness) -> bool:
        """Tell whether nothing newer was heard of a tag than what it is witness for."""
        held = self._memory.get((artifact_uid, witness.tag))
        held = held or await self._shelf.get(artifact_uid, witness.tag)
        return held is not None and held.content_revision <= witness.content_revision

    async def stop(self) -> None:
        """Give up what is being resolved, and wait for what is being written."""
        await self._resolving.stop()
        await self._behind.stop()

    async def _resolve(self, artifact: ArtifactEntry, reference: str | Digest) -> ResolvedManifest:
        held = self._memory.get((artifact.uid, reference))
        if held is None:
            held = await self._shelf.get(artifact.uid, reference)
            if held is not None and not self._is_stale(held, artifact, reference):
                self._lookups.disk += 1
                return self._put(artifact.uid, {reference}, held, kept=held)
        known = None if held is None else held.digest
        ask = partial(self._control.reference, artifact.uid, str(reference), known)
        try:
            answer = await (ask() if held is not None else self._control.patiently(ask))
        except Unknown:
            self._memory.drop((artifact.uid, reference))
            self._behind.do(self._shelf.remove(artifact.uid, reference))
            raise
        except ControlPlaneAway:
            if held is None:
                raise
            self._lookups.stale += 1
            self._members.note(artifact.uid, held)
            return held
        self._lookups.control_plane += 1
        manifest = _complete(answer, reference, held, self._clock())
        manifest = self._put(artifact.uid, {reference, manifest.digest}, manifest)
        for tell in self.resolved:
            tell(artifact, manifest)
        return manifest

    def _is_stale(self, manifest: ResolvedManifest, artifact: ArtifactEntry, reference: str | Digest) -> bool:
        if manifest.content_revision < artifact.content_revision:
            return True
        # What a digest names does not age.
        if isinstance(reference, Digest) or manifest.fresh_until is None:
            return False
        return not manifest.fresh_from <= self._clock() < manifest.fresh_until

    def _put(
        self,
        artifact_uid: str,
        references: set[str | Digest],
        manifest: ResolvedManifest,
        kept: ResolvedManifest | None = None,
    ) -> ResolvedManifest:
        """Keep a manifest, with all witnesses that are known; on disk unless it is there like that."""
        witnesses = join(manifest.witnesses, self._witnesses.of(artifact_uid, manifest.digest))
        if witnesses != manifest.witnesses:
            manifest = replace(manifest, witnesses=witnesses)
        self._members.note(artifact_uid, manifest)
        for reference in references:
            self._memory.put((artifact_uid, reference), manifest, len(manifest.content) + _ENTRY_BYTES)
        if manifest != kept:
            self._behind.do(self._shelf.put(artifact_uid, references, manifest))
        return manifest


def _complete(
    answer: Reference, reference: str | Digest, held: ResolvedManifest | None, now: float
) -> ResolvedManifest:
    content = answer.content
    if not content and held is not None and held.digest == answer.digest:
        content = held.content
    asked = reference if isinstance(reference, Digest) else answer.digest
    if asked != answer.digest or not asked.matches(content):
        raise UpstreamInvalid("the control plane", "The control plane's answer is not what its digest names.")
    fresh_until = None if answer.max_age is None else now + answer.max_age
    revision = answer.content_revision
    witnesses = () if held is None or held.digest != answer.digest else held.witnesses
    if isinstance(reference, str):
        witnesses = join((Witness(reference, revision),), witnesses)
    fresh_from = 0.0 if answer.max_age is None else now
    return ResolvedManifest(
        answer.digest, answer.media_type, content, revision, fresh_until, fresh_from, witnesses
    )
