"""Selects by labels, as `kubectl -l` does: `team=web,tier!=test,public,!legacy`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

_KEY: Final = r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_VALUE: Final = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?"
_TERM: Final = re.compile(
    rf"(?P<absent>!)\s*(?P<missing>{_KEY})|(?P<key>{_KEY})(?:\s*(?P<operator>!=|==?)\s*(?P<value>{_VALUE}))?"
)
_LONGEST: Final = 2000


@dataclass(frozen=True, slots=True)
class _Term:
    key: str
    # None for whether there is any.
    value: str | None
    wanted: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        if self.value is None:
            return (self.key in labels) == self.wanted
        # Without the label, it is not that value.
        return (labels.get(self.key) == self.value) == self.wanted


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Terms that must all hold; without any, everything is selected."""

    terms: tuple[_Term, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read terms `key=value`, `key!=value`, `key` and `!key` with commas between.

        Raises ValueError with a sentence.
        """
        if len(text) > _LONGEST:
            raise ValueError(f"must have at most {_LONGEST} characters.")
        if not text.strip():
            return cls()
        return cls(tuple(_term(part.strip()) for part in text.split(",")))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Tell whether all terms hold for an artifact with these labels."""
        return all(term.holds(labels) for term in self.terms)


def _term(text: str) -> _Term:
    match = _TERM.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text[:80]!r} selects no label: write key=value, key!=value, key or !key, with commas between."
        )
    if match["absent"]:
        return _Term(match["missing"], None, wanted=False)
    return _Term(match["key"], match["value"], wanted=match["operator"] != "!=")
