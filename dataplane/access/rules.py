"""The rules that say together which tags of one artifact somebody may have."""

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from clients.oci.tag_rule import ALL_TAGS, TagRule

# Tags, of which there may be more than anybody pulls.
_MOST: Final = 1024


class _Named(dict[str, bool]):
    """What was found out of tags, so that asking again is one look-up, and no call."""

    __slots__ = ("_rules",)

    def __init__(self, rules: tuple[TagRule, ...]) -> None:
        super().__init__()
        self._rules = rules

    def __missing__(self, tag: str) -> bool:
        if len(self) >= _MOST:
            self.clear()
        named = self[tag] = any(rule.matches(tag) for rule in self._rules)
        return named


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Rules:
    """One rule or several, of which one is enough; made by `of`.

    Equal ones are one object, so that what was found out for one customer holds for all with the same rules.
    """

    rules: tuple[TagRule, ...]
    named: Mapping[str, bool] = field(repr=False)
    """Whether one of them names a tag; of any tag."""

    @classmethod
    def of(cls, rules: Iterable[TagRule]) -> "Rules":
        """Give the value for these rules, of which there is at least one."""
        key = tuple(sorted(set(rules), key=str))
        if ALL_TAGS in key:
            key = (ALL_TAGS,)
        known = _KNOWN.get(key)
        if known is None:
            known = _KNOWN[key] = cls(key, _Named(key))
        return known

    def match(self, tag: str) -> bool:
        """Tell whether one of them names this tag."""
        return self.named[tag]


_KNOWN: Final[weakref.WeakValueDictionary[tuple[TagRule, ...], Rules]] = weakref.WeakValueDictionary()
