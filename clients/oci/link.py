"""The next page, as a Link header names it (RFC 8288, section 3)."""

import re
from collections.abc import Iterable

# Scanned piece by piece, and each piece in one way only: one pattern for a whole link would backtrack for
# minutes over a hostile header.
_BLANKS = re.compile(r"[ \t]*")
_TARGET = re.compile(r"<([^<>]*)>")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*")
_VALUE = re.compile(r'"((?:[^"\\]|\\.)*)"|([^\s;,"]*)', re.DOTALL)


class InvalidLink(ValueError):
    """A Link header that breaks its grammar."""

    def __init__(self) -> None:
        super().__init__("has a malformed Link header")


def next_link(headers: Iterable[str]) -> str | None:
    """Returns the target, still relative, of the first link of relation "next"; raises InvalidLink."""
    for header in headers:
        at = _blanks(header, 0)
        while at < len(header):
            if header[at] == ",":
                at = _blanks(header, at + 1)
                continue
            target, relations, at = _link(header, at)
            if "next" in relations:
                return target
    return None


def _link(header: str, at: int) -> tuple[str, list[str], int]:
    # One link from its "<" to the comma after it, or the end.
    target = _TARGET.match(header, at)
    if target is None:
        raise InvalidLink
    relations: list[str] | None = None
    at = _blanks(header, target.end())
    while at < len(header) and header[at] == ";":
        name, value, at = _parameter(header, at + 1)
        # Only the first rel counts, as the RFC says.
        if name == "rel" and relations is None:
            relations = value.lower().split()
    if at < len(header) and header[at] != ",":
        raise InvalidLink
    return target[1], relations or [], at


def _parameter(header: str, at: int) -> tuple[str, str, int]:
    name = _NAME.match(header, _blanks(header, at))
    if name is None:
        raise InvalidLink
    at = _blanks(header, name.end())
    if not header.startswith("=", at):
        return name[0].lower(), "", at
    value = _VALUE.match(header, _blanks(header, at + 1))
    if value is None:
        raise InvalidLink
    return name[0].lower(), value[1] or value[2] or "", _blanks(header, value.end())


def _blanks(header: str, at: int) -> int:
    match = _BLANKS.match(header, at)
    return at if match is None else match.end()
