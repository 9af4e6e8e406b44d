"""The rules that say together which tags of one artifact somebody may have."""

import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from clients.oci.tag_rule import ALL_TAGS, TagRule

# Tags, of which there may be more than anybody pulls.
_MOST: Final = 1024


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Rules:
    """One rule or several, of which one is enough; made by `of`.

    Equal ones are one object, so that what was found out for one customer holds for all with the same rules.
    """

    rules: tuple[TagRule, ...]
    # What was found out of tags, so that asking again is one look-up.
    _known: dict[str, bool] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, rules: Iterable[TagRule]) -> "Rules":
        """Give the value for these rules, of which there is at least one."""
        key = tuple(sorted(set(rules), key=str))
        if ALL_TAGS in key:
            key = (ALL_TAGS,)
        known = _KNOWN.get(key)
        if known is None:
            known = _KNOWN[key] = cls(key)
        return known

    def match(self, tag: str) -> bool:
        """Tell whether one of them names this tag."""
        known = self._known.get(tag)
        if known is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[tag] = any(rule.matches(tag) for rule in self.rules)
        return known


_KNOWN: Final[weakref.WeakValueDictionary[tuple[TagRule, ...], Rules]] = weakref.WeakValueDictionary()
