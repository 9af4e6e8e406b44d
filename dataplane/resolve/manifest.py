"""A manifest as it is served: bytes, type, digest, and the content revision it was resolved under."""

import json
from dataclasses import dataclass
from typing import Self

from clients.oci.digest import Digest, InvalidReference
from clients.oci.manifest import InvalidManifest, Manifest
from dataplane.resolve.witnesses import Witness


@dataclass(frozen=True, slots=True)
class ResolvedManifest:
    """What a reference of an artifact stands for."""

    digest: Digest
    media_type: str
    content: bytes
    content_revision: int
    """Of the artifact; stale once the configuration names a later one."""
    fresh_until: float | None = None
    """Seconds since the epoch, when it is to be asked for by its tag again; None for never."""
    fresh_from: float = 0.0
    """When it was asked for: before that, the clock was set back, and says nothing about what is fresh."""
    witnesses: tuple[Witness, ...] = ()
    """Tags that are known to lead to it; those of older content revisions may have moved."""

    def parsed(self) -> Manifest | None:
        """Say what it names; None where it is of a kind that only a newer control plane knows."""
        try:
            return Manifest.parse(self.content, self.media_type)
        except InvalidManifest:
            return None

    def encode(self) -> bytes:
        """Give bytes that `decode` takes: one line of JSON, and the content."""
        header = {
            "digest": str(self.digest),
            "media_type": self.media_type,
            "content_revision": self.content_revision,
            "fresh_until": self.fresh_until,
            "fresh_from": self.fresh_from,
            "witnesses": self.witnesses,
        }
        return json.dumps(header).encode() + b"\n" + self.content

    @classmethod
    def decode(cls, encoded: bytes) -> Self | None:
        """Read what `encode` wrote; None where it is not that, or not any more."""
        header, _, content = encoded.partition(b"\n")
        try:
            fields = json.loads(header)
            manifest = cls(
                Digest.parse(fields["digest"]),
                str(fields["media_type"]),
                content,
                int(fields["content_revision"]),
                fields.get("fresh_until"),
                float(fields.get("fresh_from", 0.0)),
                tuple(Witness(str(tag), int(revision)) for tag, revision in fields.get("witnesses", ())),
            )
        except (ValueError, TypeError, KeyError, InvalidReference):
            return None
        return manifest if manifest.digest.matches(content) else None
