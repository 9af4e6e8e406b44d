"""Patterns of tags: `*`, `?` and `[...]`, matched in time proportional to pattern times tag."""

import re
from dataclasses import dataclass
from typing import Final, Self

_LIMIT: Final = 256
_TOKEN: Final = re.compile(r"\*+|\?|\[(?:![^\]\[!]+|[^\]\[!]+)\]|[A-Za-z0-9_.\-]")
_CLASS_ITEM: Final = re.compile(r"([A-Za-z0-9_.])-([A-Za-z0-9_.])|([A-Za-z0-9_.\-])")

_Test = frozenset[str] | None
"""What one place of a tag may be: these characters, or None for any."""


class InvalidPattern(ValueError):
    """What was given is no pattern; the sentence says where and shows a good one."""


@dataclass(frozen=True, slots=True)
class TagPattern:
    """A pattern that a whole tag matches or not; case matters, as in tags.

    `*` stands for any number of characters, `?` for one, `[abc]`, `[a-z]` and `[!0-9]` for one of a set.
    """

    text: str
    # Runs of single places; between two runs, and only there, any number of characters may stand.
    _runs: tuple[tuple[_Test, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pattern; raises InvalidPattern."""
        if not text or len(text) > _LIMIT:
            raise InvalidPattern(f"A tag pattern has 1 to {_LIMIT} characters, like 1.2.* or v[0-9]*.")
        runs: list[list[_Test]] = [[]]
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            if token is None:
                raise InvalidPattern(
                    f"The tag pattern {text!r} has {text[position]!r} at position {position + 1}, which no"
                    " tag can have: use letters, digits, '_', '.', '-' and *, ?, [...], like 1.2.*"
                )
            if token[0].startswith("*"):
                runs.append([])
            else:
                runs[-1].append(_test(token[0], text))
            position = token.end()
        return cls(text, tuple(tuple(run) for run in runs))

    def matches(self, tag: str) -> bool:
        """Tell whether the whole tag is of this pattern."""
        first, *others = self._runs
        if not others:
            return len(first) == len(tag) and _fits(first, tag, 0)
        *middle, last = others
        end = len(tag) - len(last)
        if len(first) > end or not _fits(first, tag, 0) or not _fits(last, tag, end):
            return False
        position = len(first)
        # The leftmost place where a run fits is never worse than a later one, so nothing is tried twice.
        for run in middle:
            while position + len(run) <= end and not _fits(run, tag, position):
                position += 1
            position += len(run)
            if position > end:
                return False
        return True

    def __str__(self) -> str:
        return self.text


def _fits(run: tuple[_Test, ...], tag: str, start: int) -> bool:
    return all(test is None or tag[start + offset] in test for offset, test in enumerate(run))


def _test(place: str, pattern: str) -> _Test:
    if place == "?":
        return None
    if not place.startswith("["):
        return frozenset(place)
    inner = place[1:-1]
    negated = inner.startswith("!")
    members: set[str] = set()
    position = int(negated)
    while position < len(inner):
        item = _CLASS_ITEM.match(inner, position)
        if item is None or (item[1] and item[1] > item[2]):
            raise InvalidPattern(
                f"The set {place} in the tag pattern {pattern!r} is none: write [abc], [a-z] or [!0-9]."
            )
        members |= {chr(code) for code in range(ord(item[1]), ord(item[2]) + 1)} if item[1] else {item[3]}
        position = item.end()
    return _TAG_CHARACTERS - members if negated else frozenset(members)


_TAG_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
