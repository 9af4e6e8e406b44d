"""Entitlements: what customers may have, and until when."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from clients.oci.tag_rule import TagRule
from dataplane.access.rules import Rules


@dataclass(frozen=True, slots=True)
class Grant:
    """Tags of one artifact."""

    artifact_uid: str
    rule: TagRule


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a customer may have, until `expires_at` (seconds since the epoch; None never)."""

    uid: str
    customer_uid: str
    grants: tuple[Grant, ...]
    expires_at: float | None


class Entitled:
    """All that the entitlements of one customer add up to, at any moment.

    What they add up to is worked out when the first request of the customer comes, and again when one of them
    has ended; a decision between is one look-up. Customers who never come cost a tuple.
    """

    __slots__ = ("__weakref__", "_entitlements", "_rules", "_since", "_until")

    def __init__(self, entitlements: Iterable[Entitlement]) -> None:
        self._entitlements = tuple(entitlements)
        self._rules: dict[str, Rules] = {}
        # The time, in seconds since the epoch, for which `_rules` are right: none yet.
        self._since = math.inf
        self._until = -math.inf

    def __iter__(self) -> Iterator[Entitlement]:
        return iter(self._entitlements)

    def __len__(self) -> int:
        return len(self._entitlements)

    def rules(self, artifact_uid: str, now: float) -> Rules | None:
        """Give what names the tags of an artifact that the customer may have; None where there are none.

        `now` is in seconds since the epoch: an entitlement has ended at its `expires_at`.
        """
        if not self._since <= now < self._until:
            self._add_up(now)
        return self._rules.get(artifact_uid)

    def _add_up(self, now: float) -> None:
        # A clock that was put back revives what had ended, so both ends of the time are kept.
        since, until = -math.inf, math.inf
        found: dict[str, list[TagRule]] = {}
        for entitlement in self._entitlements:
            end = entitlement.expires_at
            if end is not None and end <= now:
                since = max(since, end)
                continue
            if end is not None:
                until = min(until, end)
            for grant in entitlement.grants:
                found.setdefault(grant.artifact_uid, []).append(grant.rule)
        self._rules = {artifact_uid: Rules.of(rules) for artifact_uid, rules in found.items()}
        self._since, self._until = since, until
