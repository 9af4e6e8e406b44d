"""Path templates of google.api.http rules (google/api/http.proto, "Path template syntax")."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote

# A variable with its pattern, a wildcard, or anything that stands for itself.
_PART: Final = re.compile(
    r"\{(?P<field>[a-z0-9_.]+)(?:=(?P<pattern>[^}]+))?\}|(?P<any>\*)|(?P<literal>[^{*]+)"
)
# A segment ends where the next one or a verb begins; what is meant by itself is percent-encoded.
_SEGMENT: Final = "[^/:]+"


@dataclass(frozen=True, slots=True)
class Template:
    """One path with variables, like `/api/v1/{name=organizations/*/artifacts/*}:sync`.

    Of the syntax it knows what is used here: literals, `*`, `{field}`, `{field=pattern}`, a verb; not `**`.
    """

    text: str
    _regex: re.Pattern[str]
    # Fields of the request, in the order of the groups.
    fields: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a template; raises ValueError."""
        regex, fields, position = [], [], 0
        if "**" in text:
            raise ValueError(f"the path template {text!r} has **, which is not served")
        while position < len(text):
            part = _PART.match(text, position)
            if part is None:
                raise ValueError(f"the path template {text!r} cannot be read at {text[position:]!r}")
            if part["field"]:
                fields.append(part["field"])
                regex.append(f"({_pattern(part['pattern'] or '*')})")
            else:
                regex.append(_pattern(part[0]))
            position = part.end()
        return cls(text, re.compile("".join(regex), re.ASCII), tuple(fields))

    def match(self, path: str) -> Mapping[str, str] | None:
        """Give the values of the fields in a path as it was sent; None for another path."""
        found = self._regex.fullmatch(path)
        if found is None:
            return None
        # An encoded slash stays: it would otherwise make two segments of one.
        return {
            field: "/".join(_decoded(segment) for segment in value.split("/"))
            for field, value in zip(self.fields, found.groups(), strict=True)
        }


def _pattern(text: str) -> str:
    return "".join(_SEGMENT if piece == "*" else re.escape(piece) for piece in re.split(r"(\*)", text))


def _decoded(segment: str) -> str:
    return "%2F".join(unquote(piece) for piece in re.split("%2f", segment, flags=re.IGNORECASE))
