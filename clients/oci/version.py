"""Semantic versions in tags, and ranges of them.

Versions follow Semantic Versioning 2.0.0, with what registries do to them: a leading `v`, and minor and
patch left out (`v1`, `7.2`). Ranges are written as in npm and Cargo: `>=1.2 <2`, `^1.4`, `~1.4.2`, `1.2.x`,
alternatives joined by `||`.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Self

_LIMIT: Final = 256
_VERSION: Final = re.compile(
    r"v?(0|[1-9]\d{0,17})(?:\.(0|[1-9]\d{0,17}))?(?:\.(0|[1-9]\d{0,17}))?"
    r"(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?",
    re.ASCII,
)
_COMPARATOR: Final = re.compile(r"(>=|<=|>|<|=|\^|~)?\s*([^\s<>=^~|]+)")


class InvalidRange(ValueError):
    """What was given is no range of versions; the sentence says why and shows a good one."""


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A semantic version, ordered by precedence (SemVer 2.0.0, 11); a part left out counts as 0."""

    numbers: tuple[int, int, int]
    prerelease: tuple[str, ...] = ()
    # How many of the three numbers were written.
    given: int = field(default=3, compare=False)

    @classmethod
    def parse(cls, tag: str) -> Self | None:
        """Read a tag as a version; None for a tag that is none."""
        match = _VERSION.fullmatch(tag) if len(tag) <= _LIMIT else None
        if match is None:
            return None
        written = [int(part) for part in match.group(1, 2, 3) if part is not None]
        prerelease = tuple(match[4].split(".")) if match[4] else ()
        if any(part.isdecimal() and part != "0" and part.startswith("0") for part in prerelease):
            return None
        major, minor, patch = (*written, 0, 0)[:3]
        return cls((major, minor, patch), prerelease, len(written))

    def __lt__(self, other: "Version") -> bool:
        return self._key() < other._key()

    def _key(self) -> tuple[object, ...]:
        # Without a pre-release it is later than with one; numeric identifiers come before others.
        identifiers = tuple(
            (0, int(part), "") if part.isdecimal() else (1, 0, part) for part in self.prerelease
        )
        return (self.numbers, not self.prerelease, identifiers)


_Comparator = Callable[[Version], bool]


@dataclass(frozen=True, slots=True)
class VersionRange:
    """Versions that satisfy all comparators of one of its alternatives.

    A pre-release is within only where a comparator names a pre-release of the same three numbers, so that
    `>=1.2` does not bring `2.0.0-rc.1`.
    """

    text: str
    _alternatives: tuple[tuple[_Comparator, ...], ...] = field(compare=False)
    _prereleases: frozenset[tuple[int, int, int]]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a range; raises InvalidRange."""
        if not text.strip() or len(text) > _LIMIT:
            raise InvalidRange(f"A version range has 1 to {_LIMIT} characters, like >=1.2 <2.")
        alternatives: list[tuple[_Comparator, ...]] = []
        prereleases: set[tuple[int, int, int]] = set()
        for alternative in text.split("||"):
            comparators: list[_Comparator] = []
            rest = alternative.replace(",", " ").strip()
            while rest:
                match = _COMPARATOR.match(rest)
                if match is None:
                    raise _unreadable(text, rest)
                comparators += _comparators(match[1] or "", match[2], text, prereleases)
                rest = rest[match.end() :].strip()
            if not comparators:
                raise _unreadable(text, "||")
            alternatives.append(tuple(comparators))
        return cls(text, tuple(alternatives), frozenset(prereleases))

    def contains(self, version: Version) -> bool:
        """Tell whether the version is within the range."""
        if version.prerelease and version.numbers not in self._prereleases:
            return False
        return any(all(comparator(version) for comparator in each) for each in self._alternatives)

    def __str__(self) -> str:
        return self.text


def _comparators(
    operator: str, operand: str, text: str, prereleases: set[tuple[int, int, int]]
) -> list[_Comparator]:
    if operand in ("*", "x", "X"):
        if operator not in ("", "="):
            raise _unreadable(text, operator + operand)
        return [lambda _version: True]
    # `1.2.x` and `1.2.*` are `1.2`, which stands for all that begins with it.
    version = Version.parse(re.sub(r"(\.[xX*])+$", "", operand))
    if version is None or (version.given < 3 and version.prerelease):
        raise _unreadable(text, operator + operand)
    if version.prerelease:
        prereleases.add(version.numbers)
    after = _after(version, version.given)
    match operator:
        case ">=":
            return [lambda candidate: candidate >= version]
        case "<":
            return [lambda candidate: candidate < version]
        case ">" if version.given < 3:
            return [lambda candidate: candidate >= after]
        case ">":
            return [lambda candidate: candidate > version]
        case "<=" if version.given < 3:
            return [lambda candidate: candidate < after]
        case "<=":
            return [lambda candidate: candidate <= version]
        case "^":
            return _between(version, _after(version, _leading(version)))
        case "~":
            return _between(version, _after(version, min(version.given, 2)))
        case _ if version.given < 3:
            return _between(version, after)
        case _:
            return [lambda candidate: candidate == version]


def _between(low: Version, high: Version) -> list[_Comparator]:
    return [lambda candidate: low <= candidate, lambda candidate: candidate < high]


def _after(version: Version, places: int) -> Version:
    # The first version beyond all that agree with this one in so many places.
    major, minor, patch = version.numbers
    numbers = {1: (major + 1, 0, 0), 2: (major, minor + 1, 0), 3: (major, minor, patch + 1)}[places]
    return Version(numbers)


def _leading(version: Version) -> int:
    # How many places `^` holds on to: up to the first that is not 0, of those that were written.
    for place, number in enumerate(version.numbers[: version.given], start=1):
        if number:
            return place
    return version.given


def _unreadable(text: str, where: str) -> InvalidRange:
    return InvalidRange(
        f"The version range {text!r} cannot be read at {where!r}: write comparisons like >=1.2 <2, ^1.4,"
        " ~1.4.2 or 1.2.x, and || between alternatives."
    )
