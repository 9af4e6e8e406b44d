"""Which tags a grant names: all of them, or those of patterns and version ranges.

Both planes decide with it, so that what is explained is what is enforced.
"""

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from clients.oci.pattern import InvalidPattern, TagPattern
from clients.oci.version import InvalidRange, Version, VersionRange

LIMIT: Final = 50
"""How many patterns a rule may have, and how many version ranges."""

# Of all rules together: a few thousand tags that are pulled, under the few rules that name them.
_MEMO: Final = 1 << 15
_COMPILED: Final = 1 << 10


class InvalidRule(ValueError):
    """What was given is no rule; the sentence says why."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class TagRule:
    """Names tags by patterns or version ranges, or all; equal rules are one object, so they compare by `is`.

    It holds little more than its texts, as there may be a hundred thousand: what they compile to, and which
    tags they name, is remembered for those in use.
    """

    all_tags: bool
    # Each once, in lexical order.
    patterns: tuple[str, ...]
    version_ranges: tuple[str, ...]

    @classmethod
    def of(
        cls, *, all_tags: bool = False, patterns: Iterable[str] = (), version_ranges: Iterable[str] = ()
    ) -> "TagRule":
        """Give the rule with these parts; raises InvalidRule where they are none, or name nothing."""
        key = (all_tags, tuple(sorted(set(patterns))), tuple(sorted(set(version_ranges))))
        known = _KNOWN.get(key)
        if known is None:
            known = cls(*key)
            _check(known)
            _KNOWN[key] = known
        return known

    def matches(self, tag: str) -> bool:
        """Tell whether the rule names this tag; remembered, so that asking again is one look-up."""
        return self.named_by(tag) is not None

    def named_by(self, tag: str) -> str | None:
        """Give the pattern or range that names this tag, `*` where all are named; None where none does."""
        return "*" if self.all_tags else _named_by(self, tag)

    def __str__(self) -> str:
        if self.all_tags:
            return "all tags"
        return ", ".join((*self.patterns, *(f"versions {each}" for each in self.version_ranges)))


ALL_TAGS: Final = TagRule(all_tags=True, patterns=(), version_ranges=())

_Key = tuple[bool, tuple[str, ...], tuple[str, ...]]
_KNOWN: Final[weakref.WeakValueDictionary[_Key, TagRule]] = weakref.WeakValueDictionary()
_KNOWN[True, (), ()] = ALL_TAGS


def _check(rule: TagRule) -> None:
    if rule.all_tags == bool(rule.patterns or rule.version_ranges):
        raise InvalidRule("A rule names all tags, or those of at least one pattern or version range.")
    if max(len(rule.patterns), len(rule.version_ranges)) > LIMIT:
        raise InvalidRule(f"A rule has at most {LIMIT} patterns and {LIMIT} version ranges.")
    try:
        _compile(rule)
    except (InvalidPattern, InvalidRange) as error:
        raise InvalidRule(str(error)) from error


def _compile(rule: TagRule) -> tuple[tuple[TagPattern, ...], tuple[VersionRange, ...]]:
    return (
        tuple(TagPattern.parse(text) for text in rule.patterns),
        tuple(VersionRange.parse(text) for text in rule.version_ranges),
    )


_compiled = lru_cache(_COMPILED)(_compile)


@lru_cache(_MEMO)
def _named_by(rule: TagRule, tag: str) -> str | None:
    patterns, ranges = _compiled(rule)
    for pattern in patterns:
        if pattern.matches(tag):
            return pattern.text
    version = Version.parse(tag) if ranges else None
    if version is not None:
        for each in ranges:
            if each.contains(version):
                return each.text
    return None
