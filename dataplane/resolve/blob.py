"""A blob that the control plane was asked about: its size, and which tags were seen to lead to it."""

import json
from dataclasses import dataclass
from typing import Self

from dataplane.resolve.witnesses import Witness, join


@dataclass(frozen=True, slots=True)
class ResolvedBlob:
    """What is known of a blob of an artifact whose manifests this node need not have."""

    size: int
    """Bytes."""
    content_revision: int
    """Of the artifact, when it was asked about."""
    witnesses: tuple[Witness, ...] = ()
    """Tags that are known to lead to it; those of older content revisions may have moved."""

    def joined(self, other: Self | None) -> Self:
        """Add what was known before, by this process or another: the newer size, the witnesses of both."""
        if other is None:
            return self
        newest = self if self.content_revision >= other.content_revision else other
        witnesses = join(self.witnesses, other.witnesses)
        return type(self)(newest.size, newest.content_revision, witnesses)

    def encode(self) -> bytes:
        """Give bytes that `decode` takes."""
        return json.dumps([self.size, self.content_revision, self.witnesses]).encode()

    @classmethod
    def decode(cls, encoded: bytes) -> Self | None:
        """Read what `encode` wrote; None where it is not that, or not any more."""
        try:
            size, revision, witnesses = json.loads(encoded)
            known = tuple(Witness(str(tag), int(seen)) for tag, seen in witnesses)
            return cls(int(size), int(revision), known)
        except (ValueError, TypeError):
            return None
