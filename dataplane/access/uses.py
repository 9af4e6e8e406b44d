"""What is told about tokens: when and from where each was used last, and which sign-ins were refused."""

from dataclasses import dataclass
from itertools import islice
from typing import Final

# What is remembered until it can be told; a node has fewer tokens in use, and an attack is seen in less.
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Refused:
    """Sign-ins refused to one address; `token_uid` is empty for a token that is not known."""

    address: str
    token_uid: str
    count: int
    last_at: float
    """Seconds since the epoch."""
    organization_uid: str = ""
    """Of the token."""


@dataclass(frozen=True, slots=True)
class Use:
    """The last use of a token."""

    token_uid: str
    address: str
    at: float
    """Seconds since the epoch."""


class Uses:
    """Gathers it in memory, a dictionary's write for each request."""

    def __init__(self) -> None:
        self._used: dict[str, tuple[float, str]] = {}
        # By address and token, with the token's organization.
        self._refused: dict[tuple[str, str, str], tuple[int, float]] = {}

    def used(self, token_uid: str, address: str, now: float) -> None:
        """Note that a token was used, at `now` in seconds since the epoch."""
        self._used[token_uid] = (now, address)

    def refused(self, address: str, token_uid: str, now: float, organization_uid: str = "") -> None:
        """Note that a sign-in was refused; past the bound, one of another address is not noted."""
        key = (address, token_uid, organization_uid)
        before, _ = self._refused.get(key, (0, now))
        if before or len(self._refused) < _MOST:
            self._refused[key] = (before + 1, now)

    def take(self, limit: int) -> tuple[list[Use], list[Refused]]:
        """Give up to `limit` of each, which are then forgotten."""
        used = [Use(uid, address, at) for uid, (at, address) in islice(self._used.items(), limit)]
        refused = [
            Refused(address, uid, count, last_at, organization_uid)
            for (address, uid, organization_uid), (count, last_at) in islice(self._refused.items(), limit)
        ]
        for use in used:
            del self._used[use.token_uid]
        for each in refused:
            del self._refused[each.address, each.token_uid, each.organization_uid]
        return used, refused

    def __len__(self) -> int:
        return len(self._used) + len(self._refused)
