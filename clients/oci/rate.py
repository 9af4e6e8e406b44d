"""Rate limits of upstreams, as their answers tell them.

`RateLimit-Limit` and `RateLimit-Remaining` in Docker Hub's form (`100;w=21600`) and that of the IETF's
drafts (with `RateLimit-Reset` in seconds); `Retry-After` of a refusal (RFC 9110, section 10.2.3).
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from clients.oci.failure import retry_after
from clients.oci.request import Account

# A quota with its parameters: `100`, `100;w=21600`, `100, 100;w=60`; the first counts.
_QUOTA = re.compile(r"\s*(\d{1,15})\s*(?:;[^,]*?\bw=(\d{1,9}))?")
_SECONDS = re.compile(r"\s*(\d{1,9})\s*")
# Seconds for which what was told is believed where nothing newer is heard: others use the quota as well,
# and windows move.
_BELIEVED = 300.0
# Seconds of a pause after a refusal that does not say when to ask again.
_UNSAID = 2.0
# Seconds for which nobody may lift a pause that was just said.
_UNDISPUTED = 60.0
_REMEMBERED = 1000

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Quota:
    """What an upstream said of its quota: requests in all, and those left; `until` is when it may differ."""

    limit: int
    remaining: int
    until: float

    @property
    def share(self) -> float:
        """The part that is left, from 0 to 1."""
        return min(self.remaining / self.limit, 1.0) if self.limit else 0.0


class Rates:
    """The latest of each account at a host; `clock` gives seconds and is never set.

    Registries count by user, and those who give no name by their address.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._quotas: OrderedDict[Account, Quota] = OrderedDict()
        # When each was said, and its end.
        self._pauses: OrderedDict[Account, tuple[float, float]] = OrderedDict()

    def note(self, account: Account, status: int, headers: Mapping[str, str]) -> None:
        """Read an answer to a request of the account."""
        now = self._clock()
        limit, remaining = headers.get("RateLimit-Limit"), headers.get("RateLimit-Remaining")
        if limit is not None and remaining is not None:
            told, left = _QUOTA.match(limit), _QUOTA.match(remaining)
            if told and left:
                reset = _SECONDS.fullmatch(headers.get("RateLimit-Reset", ""))
                believed = min(float(reset[1]), _BELIEVED) if reset else _BELIEVED
                _put(self._quotas, account, Quota(int(told[1]), int(left[1]), now + believed))
        if status == 429:
            wait = retry_after(headers)
            _put(self._pauses, account, (now, now + (_UNSAID if wait is None else wait)))

    def quota(self, account: Account) -> Quota | None:
        """Give what the account was told last of its quota; None where nothing was said lately."""
        quota = self._quotas.get(account)
        return None if quota is None or quota.until <= self._clock() else quota

    def pause(self, account: Account) -> float:
        """Give the seconds for which the account is not to ask; 0 where nothing was said of that."""
        _, end = self._pauses.get(account, (0.0, 0.0))
        return max(0.0, end - self._clock())

    def lift(self, account: Account) -> bool:
        """Let the account ask all the same, once; False where it was refused within the last minute.

        Whoever is refused again has to wait again.
        """
        now = self._clock()
        said, end = self._pauses.get(account, (now, now))
        if now < said + _UNDISPUTED:
            return False
        _put(self._pauses, account, (said, min(now, end)))
        return True

    @property
    def quotas(self) -> Mapping[str, Quota]:
        """What each host said last, however long ago, of the account there that has the least left."""
        tightest: dict[str, Quota] = {}
        for account, quota in self._quotas.items():
            other = tightest.get(account.host)
            if other is None or quota.share < other.share:
                tightest[account.host] = quota
        return tightest

    @property
    def pauses(self) -> Mapping[str, float]:
        """Seconds for which each host that ever refused somebody is to be left alone by all of them."""
        longest: dict[str, float] = {}
        for account in self._pauses:
            longest[account.host] = max(longest.get(account.host, 0.0), self.pause(account))
        return longest


def _put(values: OrderedDict[Account, _Value], account: Account, value: _Value) -> None:
    values[account] = value
    values.move_to_end(account)
    if len(values) > _REMEMBERED:
        values.popitem(last=False)
