"""Which blobs a node does not evict: those that pinned tags reach, as far as it has resolved them."""

import logging
from typing import Final

from clients.oci.digest import Digest
from dataplane.config.configuration import ArtifactEntry
from dataplane.config.state import ConfigState
from dataplane.resolve.shelf import Shelf

_LOG = logging.getLogger(__name__)

# Manifests that are looked at, of all artifacts.
_MOST: Final = 10_000


class Pins:
    """Looks it up when room is to be made, in what all workers of the node have resolved and kept on disk.

    Nothing is kept beyond that: a tag that moved pins what it stands for since somebody asked for it.
    """

    def __init__(self, state: ConfigState, shelf: Shelf, most: int = _MOST) -> None:
        """Look at no more than `most` manifests."""
        self._state = state
        self._shelf = shelf
        self._most = most

    async def digests(self) -> set[Digest]:
        """Give the digests of all blobs that are pinned."""
        configuration = self._state.configuration
        pinned: set[Digest] = set()
        if configuration is None:
            return pinned
        seen: set[tuple[str, Digest]] = set()
        for artifact in configuration.artifacts.values():
            if artifact.cache.pin_tags:
                await self._add(artifact, pinned, seen)
        if len(seen) >= self._most:
            _LOG.warning(
                "Pinned tags reach more than %d manifests: what the others reach may be evicted.", self._most
            )
        return pinned

    async def _add(self, artifact: ArtifactEntry, pinned: set[Digest], seen: set[tuple[str, Digest]]) -> None:
        patterns = artifact.cache.pin_tags
        waiting: list[str | Digest] = [
            tag
            for tag in await self._shelf.tags(artifact.uid)
            if any(pattern.matches(tag) for pattern in patterns)
        ]
        while waiting and len(seen) < self._most:
            held = await self._shelf.get(artifact.uid, waiting.pop())
            if held is None or (artifact.uid, held.digest) in seen:
                continue
            seen.add((artifact.uid, held.digest))
            manifest = held.parsed()
            if manifest is None:
                continue
            pinned.update(blob.digest for blob in manifest.blobs)
            waiting += (child.digest for child in manifest.manifests)
