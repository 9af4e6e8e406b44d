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

# A quota with its parameters: `100`, `100;w=21600`, `100, 100;w=60`; the first counts.
_QUOTA = re.compile(r"\s*(\d{1,15})\s*(?:;[^,]*?\bw=(\d{1,9}))?")
_SECONDS = re.compile(r"\s*(\d{1,9})\s*")
# Seconds for which what was told is believed where nothing newer is heard: others use the quota as well,
# and windows move.
_BELIEVED = 300.0
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
    """The latest of each host, by the name that users write; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._quotas: OrderedDict[str, Quota] = OrderedDict()
        self._pauses: OrderedDict[str, float] = OrderedDict()

    def note(self, host: str, status: int, headers: Mapping[str, str]) -> None:
        """Read an answer of the host."""
        now = self._clock()
        limit, remaining = headers.get("RateLimit-Limit"), headers.get("RateLimit-Remaining")
        if limit is not None and remaining is not None:
            told, left = _QUOTA.match(limit), _QUOTA.match(remaining)
            if told and left:
                reset = _SECONDS.fullmatch(headers.get("RateLimit-Reset", ""))
                believed = min(float(reset[1]), _BELIEVED) if reset else _BELIEVED
                _put(self._quotas, host, Quota(int(told[1]), int(left[1]), now + believed))
        wait = retry_after(headers)
        if status == 429 and wait is not None:
            _put(self._pauses, host, now + wait)

    def quota(self, host: str) -> Quota | None:
        """Give what the host said last of its quota; None where it said nothing lately."""
        quota = self._quotas.get(host)
        return None if quota is None or quota.until <= self._clock() else quota

    def pause(self, host: str) -> float:
        """Give the seconds for which the host has asked to be left alone; 0 where it has not."""
        return max(0.0, self._pauses.get(host, 0.0) - self._clock())

    @property
    def quotas(self) -> Mapping[str, Quota]:
        """What each host said last, however long ago."""
        return dict(self._quotas)

    @property
    def pauses(self) -> Mapping[str, float]:
        """Seconds for which each host that ever asked for it is to be left alone, from now."""
        return {host: self.pause(host) for host in self._pauses}


def _put(values: OrderedDict[str, _Value], host: str, value: _Value) -> None:
    values[host] = value
    values.move_to_end(host)
    if len(values) > _REMEMBERED:
        values.popitem(last=False)
