"""Which part of a body to send, and whether any: Range, If-Range and If-None-Match of RFC 9110."""

import re
from dataclasses import dataclass

_SPEC = re.compile(r"([0-9]{0,100})-([0-9]{0,100})", re.ASCII)
_ENTITY_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to, but not including, `stop`."""

    start: int
    stop: int


class Unsatisfiable(Exception):
    """The Range asks for nothing that there is, or cannot be understood: 416 (section 15.5.17)."""


def select(header: str, if_range: str, etag: str, size: int) -> Span | None:
    """Decide which part of `size` bytes a GET asks for; None is all of it, as a plain 200.

    `header` is the Range header and `if_range` If-Range, empty where missing; `etag` is the strong
    entity tag, quoted. All of it is also the answer to units other than bytes, and to several ranges
    at once, which a server may ignore (section 14.2). Raises Unsatisfiable.
    """
    unit, separator, specs = header.partition("=")
    if not separator or unit.strip().lower() != "bytes":
        return None
    # A date or a weak tag never matches: only equality byte for byte makes joining parts safe (13.1.5).
    if if_range and if_range.strip() != etag:
        return None
    wanted = [spec.strip() for spec in specs.split(",") if spec.strip()]
    if len(wanted) > 1:
        return None
    match = _SPEC.fullmatch(wanted[0]) if wanted else None
    if match is None:
        raise Unsatisfiable
    first, last = match.groups()
    if first:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            raise Unsatisfiable
    elif last:
        start, stop = max(0, size - int(last)), size
    else:
        raise Unsatisfiable
    if start >= stop:
        raise Unsatisfiable
    return Span(start, stop)


def is_unchanged(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match, empty where missing, names `etag` (weak comparison, section 13.1.2): 304."""
    if not if_none_match:
        return False
    return if_none_match.strip() == "*" or etag in _ENTITY_TAG.findall(if_none_match)
