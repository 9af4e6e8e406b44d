"""How many transfers a token, an address and a worker may have at once, and how fast they go."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from dataplane.http.errors import Code, Refusal
from dataplane.http.limits import Hits
from dataplane.http.pace import Pace, Paces

_RETRY_AFTER: Final = 5.0


@dataclass(frozen=True, slots=True)
class Free:
    """A transfer that was begun; to be called once, to end it."""

    end: Callable[[], None] = lambda: None
    pace: Pace | None = None
    """How fast it may go; None for as fast as it can."""

    def __call__(self) -> None:
        """End the transfer."""
        self.end()


@dataclass(frozen=True, slots=True)
class Shares:
    """The most transfers at once; 0 for any number."""

    token: int = 0
    address: int = 0
    all: int = 0


class Transfers:
    """Counts the transfers that run; knows nothing of a token or address that has none."""

    def __init__(self, shares: Shares, hits: Hits, paces: Paces | None = None) -> None:
        self._shares = shares
        self._hits = hits
        self._paces = paces
        self._running = 0
        # Of those that have any.
        self._tokens: dict[str, int] = {}
        self._addresses: dict[str, int] = {}

    def begin(self, token_uid: str, address: str) -> Free:
        """Begin a transfer, and give what ends it; raises Refusal (429) where there are enough."""
        if _is_full(self._tokens, token_uid, self._shares.token):
            self._hits.token_transfers += 1
            raise Refusal(
                Code.TOOMANYREQUESTS,
                f"This token has {self._shares.token} transfers under way, and may not have more.",
                retry_after=_RETRY_AFTER,
            )
        if _is_full(self._addresses, address, self._shares.address):
            self._hits.address_transfers += 1
            raise Refusal(
                Code.TOOMANYREQUESTS,
                f"Your address has {self._shares.address} transfers under way, and may not have more.",
                retry_after=_RETRY_AFTER,
            )
        if self._shares.all and self._running >= self._shares.all:
            self._hits.node_transfers += 1
            raise Refusal(
                Code.TOOMANYREQUESTS,
                f"This node has {self._shares.all} transfers under way, and takes no more now.",
                retry_after=_RETRY_AFTER,
            )
        return self._begin(token_uid, address)

    def try_begin(self, token_uid: str, address: str) -> Free | None:
        """Do as `begin` does; None, and nothing is counted, where that would raise."""
        if (
            _is_full(self._tokens, token_uid, self._shares.token)
            or _is_full(self._addresses, address, self._shares.address)
            or (self._shares.all and self._running >= self._shares.all)
        ):
            return None
        return self._begin(token_uid, address)

    @property
    def known(self) -> int:
        """Tokens and addresses that are being counted."""
        return len(self._tokens) + len(self._addresses)

    def _begin(self, token_uid: str, address: str) -> Free:
        self._tokens[token_uid] = self._tokens.get(token_uid, 0) + 1
        self._addresses[address] = self._addresses.get(address, 0) + 1
        self._running += 1
        pace = None if self._paces is None else self._paces.of(token_uid, address)
        return Free(partial(self._end, token_uid, address), pace)

    def _end(self, token_uid: str, address: str) -> None:
        self._running -= 1
        _count_down(self._tokens, token_uid)
        _count_down(self._addresses, address)


def _is_full(counts: dict[str, int], key: str, share: int) -> bool:
    return share > 0 and counts.get(key, 0) >= share


def _count_down(counts: dict[str, int], key: str) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
