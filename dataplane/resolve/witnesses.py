"""Which tags lead to a digest: not all that do, of which there may be thousands, but a few that are sure.

A tag that somebody may have is witness to the manifest that it stands for, to the manifests and blobs which
that names, and to what refers to it. One witness is enough for a decision.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from clients.oci.digest import Digest
from dataplane.access.rules import Rules
from dataplane.resolve.memory import Memory

# Of one digest: as many kinds of customers can be decided for before the control plane is asked.
_MOST: Final = 8
# What an entry costs: two keys' worth of text, and the dictionary's share. Members share their witnesses.
_ENTRY_BYTES: Final = 512


class Witness(NamedTuple):
    """A tag that leads to a digest, and the artifact's content revision at which that was so."""

    tag: str
    content_revision: int


class Witnesses:
    """Remembers witnesses by artifact and digest; `max_bytes` bounds the memory."""

    def __init__(self, max_bytes: int) -> None:
        # By the digest's text, which is looked up in a third of the time.
        self._known: Memory[tuple[str, str], tuple[Witness, ...]] = Memory(max_bytes)

    def of(self, artifact_uid: str, digest: Digest) -> tuple[Witness, ...]:
        """Give what is known, newest first."""
        return self._known.get((artifact_uid, digest.encoded)) or ()

    def note(self, artifact_uid: str, digests: Iterable[Digest], witnesses: tuple[Witness, ...]) -> None:
        """Add witnesses of digests to those that are known."""
        if not witnesses:
            return
        for digest in digests:
            key = (artifact_uid, digest.encoded)
            known = self._known.get(key)
            if known is not witnesses:
                self._known.put(key, witnesses if known is None else join(known, witnesses), _ENTRY_BYTES)

    def vouch(self, artifact_uid: str, digest: Digest, rules: Rules, content_revision: int) -> int | None:
        """Give the content revision at which a tag of the rules led to a digest, for all that is known.

        None where it was before the given one, which does not count: tags may have moved.
        """
        for tag, revision in self._known.get((artifact_uid, digest.encoded)) or ():
            if revision >= content_revision and rules.named[tag]:
                return revision
        return None


def join(one: tuple[Witness, ...], other: tuple[Witness, ...]) -> tuple[Witness, ...]:
    """Give the witnesses of both, each tag once, the newest that there is room for."""
    newest: dict[str, int] = {}
    for tag, revision in (*one, *other):
        newest[tag] = max(revision, newest.get(tag, revision))
    joined = sorted((Witness(*item) for item in newest.items()), key=_newest_first)[:_MOST]
    return one if len(joined) == len(one) and joined == list(one) else tuple(joined)


def _newest_first(witness: Witness) -> tuple[int, str]:
    return -witness.content_revision, witness.tag
