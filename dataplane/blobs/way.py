"""One blob, and where it can be had."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from clients.oci.digest import Digest
from dataplane.blobs.source import Source

Key = tuple[Digest, int, str]
"""A digest, the size that a manifest says, and whose word both are: one that is wrong must not decide about
one that is right."""


def name_of(key: Key) -> str:
    """Give a name of a few letters, digits and points, by which files and leases of one key are found.

    The size stands last, where those look for it who add up what fills will write.
    """
    digest, size, owner = key
    mark = f".{blake2b(owner.encode(), digest_size=8).hexdigest()}" if owner else ""
    return f"{digest.encoded}{mark}.{size}"


@dataclass(frozen=True, slots=True)
class Way:
    """A blob's digest, the size that a manifest says, its source, and who vouches for the two."""

    digest: Digest
    size: int
    source: Source
    owner: str = ""
    """Whoever is not the same has a fetch of their own: until it is verified, it is only somebody's word."""
    shared: Source | None = None
    """The source of what all readers share, where it takes turns with other nodes; a detour does not."""
    over: Callable[[], None] = lambda: None
    """To be called when the shared fetch has ended, however it did."""
    distrust: Callable[[Source], bool] = lambda _: False
    """Tells one of the two sources that its bytes were wrong; returns whether it has others."""

    @property
    def key(self) -> Key:
        """What is fetched once, and read by all who have the same."""
        return (self.digest, self.size, self.owner)
