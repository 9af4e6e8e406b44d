"""The port behind which verified blobs are kept."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from clients.oci.digest import Digest


class OpenFile(Protocol):
    """A file that is open for reading at any offset, until it is closed."""

    def fileno(self) -> int:
        """Give its descriptor; raises ValueError once it is closed."""
        ...

    def close(self) -> None:
        """Let go of it; may be called again."""
        ...


class StoredBlob(NamedTuple):
    """A complete blob, open for reading; removing it from the store does not take it from its reader."""

    file: OpenFile
    size: int
    """Bytes."""
    changed: int | None = None
    """When somebody else than the store last wrote its file, in ns since the epoch: it is to be verified."""

    @property
    def inode(self) -> int:
        """Number of the file on its file system: another, once the blob was stored again. Raises OSError."""
        return os.fstat(self.file.fileno()).st_ino

    def close(self) -> None:
        """Let go of the descriptor."""
        self.file.close()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store says of a blob without opening it."""

    digest: Digest
    size: int
    """Bytes."""
    used: float
    """When it was last used, as far as the store noted it: seconds since the epoch."""


class BlobStore(Protocol):
    """Keeps verified blobs by digest. Every method may raise OSError, and then has changed nothing.

    `tests/unit/dataplane/blobs/conformance.py` holds what every place for blobs must do.
    """

    async def prepare(self) -> None:
        """Make the store ready; raises ConfigurationError when it never will be, OSError when its disk fails.

        What is there can be opened all the same.
        """
        ...

    def open(self, digest: Digest) -> StoredBlob | None:
        """Open a blob, and note, not more precisely than to the hour, that it was used; None if absent.

        Called on the event loop, for every pull: costs a few system calls.
        """
        ...

    def peek(self, digest: Digest) -> StoredBlob | None:
        """Open a blob without noting that it was used; None if absent."""
        ...

    def vouch(self, digest: Digest, changed: int) -> None:
        """Take note that the bytes of a blob are right, as they were changed at that time. Raises OSError."""
        ...

    async def commit(self, digest: Digest, spool: Path) -> int | None:
        """Take over the spool file, whose bytes the caller has verified.

        Returns the bytes of what it replaced; None for nothing, which of several at once is told to one.
        Whole or not at all under that name, whatever happens to the process or the machine; replaces
        what was there. The spool file is gone afterwards.
        """
        ...

    async def remove(self, digest: Digest) -> bool:
        """Forget a blob; False if it was not there."""
        ...

    async def evict(self, digest: Digest) -> bool:
        """Forget a blob unless it is open somewhere on this node; False then, and if it was not there."""
        ...

    async def entries(self) -> list[Entry]:
        """List what is there, least recently used first."""
        ...
