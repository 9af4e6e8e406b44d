"""Which part of a body to send, and whether any: Range and the conditions of RFC 9110.

Those by time, If-Modified-Since and If-Unmodified-Since, are to be ignored: nothing here has a date (section
13.1.4).
"""

import re
from dataclasses import dataclass
from typing import Final

from dataplane.http.errors import Code, Refusal

MOST_RANGES: Final = 64
"""More at once are ignored: clients that read parts of layers ask for some dozens."""
_MOST_OVERLAPPING: Final = 2
_MOST_UNORDERED: Final = 8

_SPEC = re.compile(r"([0-9]{0,100})-([0-9]{0,100})", re.ASCII)
_ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to, but not including, `stop`."""

    start: int
    stop: int


class Unsatisfiable(Exception):
    """The Range asks for nothing that there is, or cannot be understood: 416 (section 15.5.17)."""


def select(header: str, if_range: str, etag: str, size: int) -> tuple[Span, ...]:
    """Decide which parts of `size` bytes a GET asks for, in its order; none means all of it, as a plain 200.

    `header` is the Range header and `if_range` If-Range, empty where missing; `etag` is the strong entity
    tag, quoted. All of it is also the answer to units other than bytes, and to more ranges than are worth
    it, which a server may ignore (section 14.2). Of several, those that there is nothing of are left out,
    and those that overlap are one (section 15.3.7.2). Those that only touch are not, though they might be:
    podman asks for one part a file, and gives up where it gets fewer. Raises Unsatisfiable.
    """
    unit, separator, specs = header.partition("=")
    if not separator or unit.strip().lower() != "bytes":
        return ()
    # A date or a weak tag never matches: only equality byte for byte makes joining parts safe (13.1.5).
    if if_range and if_range.strip() != etag:
        return ()
    wanted = [spec.strip() for spec in specs.split(",") if spec.strip()]
    if len(wanted) > MOST_RANGES:
        return ()
    spans = [span for spec in wanted if (span := _span(spec, size)) is not None]
    if not spans or _is_abuse(spans):
        raise Unsatisfiable
    return _joined(spans)


def _span(spec: str, size: int) -> Span | None:
    """Read one range; None where there is nothing of it. Raises Unsatisfiable for what is none."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise Unsatisfiable
    first, last = match.groups()
    if first:
        if last and int(last) < int(first):
            raise Unsatisfiable
        span = Span(int(first), min(int(last) + 1, size) if last else size)
    elif last:
        span = Span(max(0, size - int(last)), size)
    else:
        raise Unsatisfiable
    return span if span.start < span.stop else None


def _is_abuse(spans: list[Span]) -> bool:
    """Whether it is what section 14.2 says to refuse: ranges that overlap, or many without order."""
    ordered = sorted(spans, key=lambda span: span.start)
    overlapping: set[int] = set()
    furthest = 0
    for index, span in enumerate(ordered[1:], 1):
        if ordered[furthest].stop > span.start:
            overlapping |= {furthest, index}
        if span.stop > ordered[furthest].stop:
            furthest = index
    return len(overlapping) > _MOST_OVERLAPPING or (len(spans) > _MOST_UNORDERED and spans != ordered)


def _joined(spans: list[Span]) -> tuple[Span, ...]:
    # Each stands where the first of those it is made of stood.
    joined: list[tuple[int, Span]] = []
    for index, span in sorted(enumerate(spans), key=lambda item: item[1].start):
        if joined and span.start < joined[-1][1].stop:
            before, last = joined[-1]
            joined[-1] = (min(before, index), Span(last.start, max(last.stop, span.stop)))
        else:
            joined.append((index, span))
    return tuple(span for _, span in sorted(joined, key=lambda item: item[0]))


def require_match(if_match: str, etag: str) -> None:
    """Raise Refusal, 412, where If-Match, empty where missing, does not name `etag` (section 13.1.1)."""
    if if_match and if_match.strip() != "*" and ("", etag) not in _ENTITY_TAG.findall(if_match):
        raise Refusal(Code.UNSUPPORTED, f"If-Match names something else: this is {etag}.", status=412)


def is_unchanged(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match, empty where missing, names `etag` (weak comparison, section 13.1.2): 304."""
    if not if_none_match:
        return False
    return if_none_match.strip() == "*" or any(tag == etag for _, tag in _ENTITY_TAG.findall(if_none_match))
