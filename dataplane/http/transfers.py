"""How many transfers a token, an address and a worker may have at once, and how fast they go."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from dataplane.http.errors import Code, Refusal
from dataplane.http.limits import Hits
from dataplane.http.pace import Pace, Paces

_RETRY_AFTER: Final = 5.0


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

    def begin(self, token_uid: str, address: str) -> "Free":
        """Begin a transfer, and give what ends it; raises Refusal (429) where there are enough."""
        free = self.try_begin(token_uid, address)
        if free is not None:
            return free
        shares = self._shares
        if _is_full(self._tokens, token_uid, shares.token):
            self._hits.token_transfers += 1
            full = f"This token has {shares.token} transfers under way, and may not have more."
        elif _is_full(self._addresses, address, shares.address):
            self._hits.address_transfers += 1
            full = f"Your address has {shares.address} transfers under way, and may not have more."
        else:
            self._hits.node_transfers += 1
            full = f"This node has {shares.all} transfers under way, and takes no more now."
        raise Refusal(Code.TOOMANYREQUESTS, full, retry_after=_RETRY_AFTER)

    def try_begin(self, token_uid: str, address: str) -> "Free | None":
        """Do as `begin` does; None, and nothing is counted, where that would raise."""
        shares = self._shares
        if (
            _is_full(self._tokens, token_uid, shares.token)
            or _is_full(self._addresses, address, shares.address)
            or (shares.all and self._running >= shares.all)
        ):
            return None
        self._tokens[token_uid] = self._tokens.get(token_uid, 0) + 1
        self._addresses[address] = self._addresses.get(address, 0) + 1
        self._running += 1
        pace = None if self._paces is None else self._paces.of(token_uid, address)
        return Free(self._end, token_uid, address, pace)

    @property
    def known(self) -> int:
        """Tokens and addresses that are being counted."""
        return len(self._tokens) + len(self._addresses)

    def _end(self, token_uid: str, address: str) -> None:
        self._running -= 1
        _count_down(self._tokens, token_uid)
        _count_down(self._addresses, address)


class Free:
    """A transfer that was begun; to be called once, to end it."""

    __slots__ = ("_address", "_end", "_token_uid", "pace")

    def __init__(
        self,
        end: Callable[[str, str], None] = lambda _token_uid, _address: None,
        token_uid: str = "",
        address: str = "",
        pace: Pace | None = None,
    ) -> None:
        self._end = end
        self._token_uid = token_uid
        self._address = address
        self.pace = pace
        """How fast it may go; None for as fast as it can."""

    def __call__(self) -> None:
        """End the transfer."""
        self._end(self._token_uid, self._address)


def _is_full(counts: dict[str, int], key: str, share: int) -> bool:
    return share > 0 and counts.get(key, 0) >= share


def _count_down(counts: dict[str, int], key: str) -> None:
    left = counts[key] - 1
    if left:
        counts[key] = left
    else:
        del counts[key]
