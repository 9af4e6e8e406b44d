"""Which of an upstream's tags an artifact has synced."""

import heapq
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from clients.oci.pattern import TagPattern
from clients.oci.version import Version, VersionRange
from controlplane.catalog.policy import SyncPolicy

# The tag schema of referrers (distribution specification, "Referrers Tag Schema"), and what cosign makes of
# it: the digest of a subject, with `-` for `:`, and for some a suffix like `.sig`.
_REFERRING: Final = re.compile(r"(sha256)-([0-9a-f]{64})(?:\.[A-Za-z0-9]{1,32})?")
_LOWEST: Final = Version((0, 0, 0))


@dataclass(frozen=True, slots=True)
class Selection:
    """Tags to ask for; `following` are those to ask for where what they refer to is held."""

    tags: list[str]
    following: list[str]


@dataclass(frozen=True, slots=True)
class TagFilter:
    """The filters of one sync policy, ready to use."""

    _include: tuple[TagPattern, ...]
    _exclude: tuple[TagPattern, ...]
    _range: VersionRange | None
    _newest: int

    @classmethod
    def of(cls, policy: SyncPolicy) -> Self:
        """Read the filters of a policy that was checked when it was saved."""
        return cls(
            tuple(TagPattern.parse(text) for text in policy.include_tags),
            tuple(TagPattern.parse(text) for text in policy.exclude_tags),
            VersionRange.parse(policy.version_range) if policy.version_range else None,
            policy.newest,
        )

    def select(self, listed: Sequence[str]) -> Selection:
        """Choose from all tags of a listing.

        What refers to other tags' manifests, by its name, is no version and not counted among the newest:
        it follows what it refers to, unless a pattern excludes it.
        """
        if not (self._include or self._exclude or self._range or self._newest):
            return Selection(list(listed), [])
        tags: list[str] = []
        following: list[str] = []
        for tag in listed:
            if any(pattern.matches(tag) for pattern in self._exclude):
                continue
            if subject_of(tag):
                following.append(tag)
            elif self._includes(tag):
                tags.append(tag)
        if self._newest and len(tags) > self._newest:
            tags = heapq.nlargest(self._newest, tags, key=_age)
        return Selection(tags, following)

    def _includes(self, tag: str) -> bool:
        if self._include and not any(pattern.matches(tag) for pattern in self._include):
            return False
        if self._range is None:
            return True
        version = Version.parse(tag)
        return version is not None and self._range.contains(version)


def subject_of(tag: str) -> str:
    """Give the digest that a tag of the referrers tag schema is about; empty for any other tag."""
    match = _REFERRING.fullmatch(tag)
    return f"{match[1]}:{match[2]}" if match else ""


def _age(tag: str) -> tuple[bool, Version, str]:
    version = Version.parse(tag)
    return version is not None, version or _LOWEST, tag
