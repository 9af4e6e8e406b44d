"""Tag lists of artifacts: from memory, then disk, then the control plane."""

import asyncio
import os
from functools import partial
from typing import Final

from clients.oci.tag_rule import ALL_TAGS
from clients.process.merge import Merge
from dataplane.access.rules import Rules
from dataplane.config.configuration import ArtifactEntry
from dataplane.resolve.control import ControlPlane
from dataplane.resolve.disk import Disk
from dataplane.resolve.errors import ControlPlaneAway
from dataplane.resolve.memory import Memory
from dataplane.resolve.taglist import TagList

_ENTRY_BYTES: Final = 512

# Artifact uid, and the rules that name the tags; None for all.
_Key = tuple[str, Rules | None]


class TagLists:
    """Gives the tags of artifacts, under the same rules as `Manifests`; `max_bytes` bounds the memory."""

    def __init__(self, control: ControlPlane, disk: Disk, max_bytes: int) -> None:
        self._control = control
        self._disk = disk
        self._memory: Memory[_Key, TagList] = Memory(max_bytes)
        self._listing: Merge[tuple[str, int], TagList] = Merge()
        self._choosing: Merge[tuple[_Key, int], TagList] = Merge()

    async def get(self, artifact: ArtifactEntry, rules: Rules | None = None) -> TagList:
        """List the tags of an artifact, with `rules` those that they name; raises Unknown, and UpstreamError.

        What rules name is kept for all who have the same.
        """
        tags = self._memory.get((artifact.uid, rules))
        if tags is not None and tags.content_revision >= artifact.content_revision:
            return tags
        revision = artifact.content_revision
        tags = await self._listing.run((artifact.uid, revision), lambda: self._list(artifact))
        if rules is None or ALL_TAGS in rules.rules:
            return tags
        key = (artifact.uid, rules)
        return await self._choosing.run((key, tags.content_revision), lambda: self._choose(key, rules, tags))

    async def stop(self) -> None:
        """Give up what is being listed."""
        await self._listing.stop()
        await self._choosing.stop()

    async def _choose(self, key: _Key, rules: Rules, tags: TagList) -> TagList:
        chosen = self._memory.get(key)
        if chosen is None or chosen.content_revision != tags.content_revision:
            # In a thread: a repository may have a million tags.
            chosen = await asyncio.to_thread(tags.only, rules.match)
            self._keep(key, chosen)
        return chosen

    async def _list(self, artifact: ArtifactEntry) -> TagList:
        held = self._memory.get((artifact.uid, None)) or await asyncio.to_thread(self._read, artifact.uid)
        if held is not None and held.content_revision >= artifact.content_revision:
            self._keep((artifact.uid, None), held)
            return held
        ask = partial(self._control.tags, artifact.uid)
        try:
            names, revision = await (ask() if held is not None else self._control.patiently(ask))
        except ControlPlaneAway:
            if held is None:
                raise
            return held
        tags = TagList.of(names, revision)
        self._keep((artifact.uid, None), tags)
        await asyncio.to_thread(self._disk.write, _name(artifact.uid), tags.encode())
        return tags

    def _keep(self, key: _Key, tags: TagList) -> None:
        self._memory.put(key, tags, len(tags.lines) + _ENTRY_BYTES)

    def _read(self, artifact_uid: str) -> TagList | None:
        encoded = self._disk.read(_name(artifact_uid))
        return None if encoded is None else TagList.decode(encoded)


def _name(artifact_uid: str) -> str:
    return f"{artifact_uid}{os.sep}tags"
