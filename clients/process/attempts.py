"""Slows down who goes on with sign-ins that are refused; in bounded memory."""

from collections.abc import Hashable
from typing import Final

# So many at once cost nothing: a person mistypes, a cluster's nodes all come with one token that has ended.
_BURST: Final = 20
# Seconds in which one of them is forgotten.
_PERIOD: Final = 3.0
# Beyond the burst, each one makes the wait longer by a period, up to a minute.
_MOST: Final = _BURST + 20
_KEYS: Final = 10_000


class Attempts:
    """Counts refused sign-ins by whatever they have in common: an address, or a token that has ended.

    Nobody is locked out: who has a good token is not looked up here, whatever comes from the same address.
    Tokens are too random to be guessed at any rate; what is spared is the node, and the reports.
    """

    def __init__(self) -> None:
        # How many are not forgotten yet, and since when; in the order of the last one.
        self._levels: dict[Hashable, tuple[float, float]] = {}

    def refused(self, key: Hashable, now: float) -> float:
        """Count one at `now`, in seconds; gives the seconds that its sender has to wait, 0 for none."""
        level, since = self._levels.pop(key, (0.0, now))
        level = min(max(0.0, level - max(0.0, now - since) / _PERIOD) + 1.0, _MOST)
        self._levels[key] = (level, now)
        if len(self._levels) > _KEYS:
            del self._levels[next(iter(self._levels))]
        return max(0.0, level - _BURST) * _PERIOD

    def __len__(self) -> int:
        return len(self._levels)
