"""Tag lists of artifacts: from memory, then disk, then the control plane."""

import asyncio
import os
from functools import partial
from typing import Final

from clients.process.merge import Merge
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.disk import Disk
from dataplane.resolve.errors import ControlPlaneAway
from dataplane.resolve.memory import Memory
from dataplane.resolve.taglist import TagList

_ENTRY_BYTES: Final = 512


class TagLists:
    """Gives the tags of artifacts, under the same rules as `Manifests`; `max_bytes` bounds the memory."""

    def __init__(self, control: ControlPlane, disk: Disk, max_bytes: int) -> None:
        self._control = control
        self._disk = disk
        self._memory: Memory[str, TagList] = Memory(max_bytes)
        self._listing: Merge[tuple[str, int], TagList] = Merge()

    async def get(self, artifact: ArtifactEntry) -> TagList:
        """List the tags of an artifact; raises Unknown, and UpstreamError."""
        tags = self._memory.get(artifact.uid)
        if tags is not None and tags.content_revision >= artifact.content_revision:
            return tags
        return await self._listing.run(
            (artifact.uid, artifact.content_revision), lambda: self._list(artifact)
        )

    async def stop(self) -> None:
        """Give up what is being listed."""
        await self._listing.stop()

    async def _list(self, artifact: ArtifactEntry) -> TagList:
        held = self._memory.get(artifact.uid) or await asyncio.to_thread(self._read, artifact.uid)
        if held is not None and held.content_revision >= artifact.content_revision:
            self._keep(artifact.uid, held)
            return held
        ask = partial(self._control.tags, artifact.uid)
        try:
            names, revision = await (ask() if held is not None else self._control.patiently(ask))
        except ControlPlaneAway:
            if held is None:
                raise
            return held
        tags = TagList.of(names, revision)
        self._keep(artifact.uid, tags)
        await asyncio.to_thread(self._disk.write, _name(artifact.uid), tags.encode())
        return tags

    def _keep(self, artifact_uid: str, tags: TagList) -> None:
        self._memory.put(artifact_uid, tags, len(tags.lines) + _ENTRY_BYTES)

    def _read(self, artifact_uid: str) -> TagList | None:
        encoded = self._disk.read(_name(artifact_uid))
        return None if encoded is None else TagList.decode(encoded)


def _name(artifact_uid: str) -> str:
    return f"{artifact_uid}{os.sep}tags"
