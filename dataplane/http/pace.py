"""How fast bytes are sent: at most so many a second for a token, an address, and the node.

Whoever has taken more than its share waits, in the order in which clients took theirs: one that opens many
connections gets no more than its token and address may have, and those that wait for the node take turns
of equal size.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from dataplane.http.clocks import Clocks, key_of
from dataplane.http.limits import Hits

# Seconds that a client may be ahead: what came late of the last second is made up for.
_BURST: Final = 0.25
# Turns of one transfer in a second, and how many bytes one has at least and at most.
_TURNS: Final = 20
_SMALLEST: Final = 16 << 10
_LARGEST: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Rates:
    """The most bytes a second; 0 for any number."""

    node: int = 0
    token: int = 0
    address: int = 0


@dataclass(frozen=True, slots=True)
class _Bound:
    key: int
    rate: int
    limit: str


class Pace:
    """The pace of one transfer; `turn` is the most bytes to send before it is asked again."""

    __slots__ = ("_bounds", "_clock", "_clocks", "_hits", "turn")

    def __init__(
        self, bounds: Sequence[_Bound], clocks: Clocks, hits: Hits, clock: Callable[[], float]
    ) -> None:
        self._bounds = bounds
        self._clocks = clocks
        self._hits = hits
        self._clock = clock
        self.turn = max(_SMALLEST, min(_LARGEST, min(bound.rate for bound in bounds) // _TURNS))

    def pay(self, count: int) -> float:
        """Account for bytes that were sent; gives the seconds to wait before any more are."""
        now = self._clock()
        longest, limit = 0.0, ""
        for bound in self._bounds:
            wait = self._clocks.charge(bound.key, count / bound.rate, now) - now - _BURST
            if wait > longest:
                longest, limit = wait, bound.limit
        if limit:
            setattr(self._hits, limit, getattr(self._hits, limit) + 1)
        return longest


class Paces:
    """Makes a Pace for each transfer; none where there are no rates. `clock` never jumps (monotonic)."""

    def __init__(
        self, rates: Rates, clocks: Clocks | None, hits: Hits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rates = rates
        self._clocks = clocks
        self._hits = hits
        self._clock = clock

    def of(self, token_uid: str, address: str) -> Pace | None:
        """Give the pace of a transfer that begins."""
        if self._clocks is None:
            return None
        rates = self._rates
        bounds = [
            _Bound(key_of(kind, name), rate, f"{kind}_rate")
            for kind, name, rate in (
                ("token", token_uid, rates.token),
                ("address", address, rates.address),
                ("node", "", rates.node),
            )
            if rate
        ]
        return Pace(bounds, self._clocks, self._hits, self._clock) if bounds else None
