"""Which manifests have been given through this node: some clients keep those, and ask for blobs alone."""

from typing import Final

from dataplane.events.records import Outline, Record
from dataplane.resolve.memory import Memory

_MOST_HOLDERS: Final = 16
_ENTRY_BYTES: Final = 300


class Known:
    """Remembers what manifests name, within `max_bytes` for each of three kinds of answers."""

    def __init__(self, max_bytes: int = 4 << 20) -> None:
        self._outlines: Memory[tuple[str, str], Outline] = Memory(max_bytes)
        self._holders: Memory[tuple[str, str], tuple[str, ...]] = Memory(max_bytes)
        self._last = ("", "")
        self._indexes: Memory[tuple[str, str], str] = Memory(max_bytes)

    def learn(self, record: Record) -> None:
        """Note what the manifest names that a record tells of."""
        artifact, digest, outline = record.client.artifact_uid, record.digest, record.outline
        if self._last == (artifact, digest):
            # As when many pull the same: all of it is the newest already.
            return
        self._last = (artifact, digest)
        size = _ENTRY_BYTES * (1 + len(outline.children) + len(outline.blobs))
        self._outlines.put((artifact, digest), outline, size)
        for child, _ in outline.children:
            self._indexes.put((artifact, child), digest, _ENTRY_BYTES)
        for blob in outline.blobs:
            holders = self._holders.get((artifact, blob)) or ()
            if holders[:1] != (digest,):
                others = (holder for holder in holders if holder != digest)
                holders = (digest, *others)[:_MOST_HOLDERS]
                self._holders.put((artifact, blob), holders, _ENTRY_BYTES)

    def holders(self, artifact_uid: str, blob: str) -> tuple[str, ...]:
        """Give the manifests that name a blob, the one that was given last first."""
        return self._holders.get((artifact_uid, blob)) or ()

    def outline(self, artifact_uid: str, digest: str) -> Outline:
        """Give what a manifest names; nothing for one that is not known."""
        return self._outlines.get((artifact_uid, digest)) or Outline()

    def index(self, artifact_uid: str, digest: str) -> str:
        """Give the index that names a manifest; empty where none is known."""
        return self._indexes.get((artifact_uid, digest)) or ""
