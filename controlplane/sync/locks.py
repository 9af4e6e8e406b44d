"""Locks that replicas share: who holds one runs alone, and has a number that outranks all who came before."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol


class LocksUnavailable(Exception):
    """Whatever keeps the locks does not answer; `str()` is one sentence that says so."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lock that is held, until it is released or was not renewed for the time that it was taken for."""

    name: str
    # Of whoever asked for it; nobody else has the same.
    token: str
    # Fencing number: higher than that of every lease on this name before.
    fence: int


class Locks(Protocol):
    """Locks by name. Every method raises LocksUnavailable."""

    async def acquire(self, name: str, token: str, lasting: timedelta, *, above: int) -> Lease | None:
        """Take a lock for some time; None while somebody else has it.

        The fence is higher than `above` too: whoever keeps what the lock protects remembers the highest
        that it saw, and so survives the loss of all locks. Taken again with the same token it is renewed.
        """

    async def renew(self, lease: Lease, lasting: timedelta) -> bool:
        """Hold a lock for some time from now; False where somebody else took it since.

        A lock that expired, or was lost with the server's memory, is held again if nobody took it.
        """

    async def release(self, lease: Lease) -> None:
        """Give a lock back; nothing happens where it is no longer held."""

    async def check(self) -> None:
        """Return where the locks can be used, as far as the database does not tell."""

    async def close(self) -> None:
        """Let go of connections; locks that are held stay until they expire."""
