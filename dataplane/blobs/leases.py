"""The right to fetch a blob into a bucket, which one of the nodes that share it has at a time."""

from typing import Final, Protocol

from dataplane.blobs.way import Key

LASTS: Final = 10.0
"""Seconds that a lease lasts from when it was taken last: what the death of a node costs the others."""


class LeasesUnavailable(Exception):
    """Whatever keeps the leases does not answer; `str()` is one sentence for the log."""


class LeasesNotOffered(LeasesUnavailable):
    """It never will."""


class Leases(Protocol):
    """Leases by what is fetched once, owners apart (see Way).

    They save upstream requests, and protect nothing: two holders do no harm.
    All methods raise LeasesUnavailable.
    """

    async def take(self, key: Key) -> bool:
        """Take a lease, or take it again; False while another node has it.

        All processes of a node are one holder: what one leaves behind is gone on with by the next.
        """
        ...

    async def release(self, key: Key) -> None:
        """Give a lease back; nothing happens where another node has it."""
        ...

    async def close(self) -> None:
        """Let go of connections; leases that are held end by themselves."""
        ...
