"""Recognises ordinary requests by their bytes: those whose parse can only come out in one way.

Both halves of a request's head are pure functions of their bytes, and remembered by them. What is not
recognised may still be a good request: Tornado's parser decides.
"""

import re
from dataclasses import dataclass
from typing import Final

from dataplane.access.authenticate import identify
from dataplane.http.errors import Refusal
from dataplane.http.target import Blob, Manifest, parse
from dataplane.resolve.memory import Memory

# A subset of what RFC 9112 and the target grammar allow: nothing percent-encoded, no query.
_LINE: Final = re.compile(rb"(GET|HEAD) (/v2/[a-z0-9._/-]+/(?:manifests|blobs)/[A-Za-z0-9._:-]+) HTTP/1\.1")
_FIELD: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)[ \t]*"
)
# Headers that change the answer or the connection in a way that is not looked at here.
_UNUSUAL: Final = frozenset(
    (b"content-length", b"transfer-encoding", b"expect", b"range", b"if-range", b"if-none-match")
)
_LONGEST: Final = 4096
_ENTRY_BYTES: Final = 512
_ROOM: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request line asks for."""

    method: str
    target: Manifest | Blob


@dataclass(frozen=True, slots=True)
class Fields:
    """What a header block says."""

    token: bytes | None
    """SHA-256 of the token that is sent; None without a well-formed one."""


class Ordinary:
    """Parses, and remembers what it parsed, within bounds."""

    def __init__(self, room: int = _ROOM) -> None:
        self._lines: Memory[bytes, Asked] = Memory(room)
        self._blocks: Memory[bytes, Fields] = Memory(room)

    def asked(self, line: bytes) -> Asked | None:
        """Parse a request line, without its end; None for what is not ordinary."""
        asked = self._lines.get(line)
        if asked is None and len(line) <= _LONGEST and (asked := _asked(line)) is not None:
            self._lines.put(line, asked, len(line) + _ENTRY_BYTES)
        return asked

    def fields(self, block: bytes) -> Fields | None:
        """Parse header lines, each with its CRLF; None for what is not ordinary."""
        fields = self._blocks.get(block)
        if fields is None and len(block) <= _LONGEST and (fields := _fields(block)) is not None:
            self._blocks.put(block, fields, len(block) + _ENTRY_BYTES)
        return fields


def _asked(line: bytes) -> Asked | None:
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    method, path = match.groups()
    try:
        target = parse(path.decode("ascii"))
    except Refusal:
        return None
    return Asked(method.decode("ascii"), target) if isinstance(target, Manifest | Blob) else None


def _fields(block: bytes) -> Fields | None:
    known: dict[bytes, bytes] = {}
    lines = block.split(b"\r\n")
    # Every line has an end: nothing follows the last.
    if lines.pop():
        return None
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            return None
        name, value = match[1].lower(), match[2]
        if name in _UNUSUAL:
            return None
        if name in (b"host", b"authorization", b"connection"):
            if name in known:
                return None
            known[name] = value
    if b"host" not in known or known.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    return Fields(identify(known.get(b"authorization", b"").decode("ascii")))
