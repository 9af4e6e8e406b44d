"""Recognises ordinary requests by their bytes: those whose parse can only come out in one way.

Both halves of a request's head are pure functions of their bytes, and remembered by them. What is not
recognised may still be a good request: Tornado's parser decides.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from clients.oci.digest import Digest
from clients.process.request_id import well_formed
from dataplane.access.authenticate import identify
from dataplane.events.records import printable
from dataplane.http.errors import Refusal
from dataplane.http.target import Blob, Manifest, parse

# A subset of what RFC 9112 and the target grammar allow: nothing percent-encoded, and of queries only what
# containerd asks mirrors with: the registry (host, or host and port) that the image is named by.
_LINE: Final = re.compile(
    rb"(GET|HEAD) (/v2/[a-z0-9._/-]+/(?:manifests|blobs)/[A-Za-z0-9._:-]+)(?:\?ns=(?:[A-Za-z0-9.-]|%3A)+)?"
    rb" HTTP/1\.1"
)
_FIELD: Final = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)[ \t]*"
)
# Headers that change the answer or the connection in a way that is not looked at here.
_UNUSUAL: Final = frozenset(
    (
        *(b"content-length", b"transfer-encoding", b"expect"),
        *(b"range", b"if-range", b"if-match", b"if-none-match"),
    )
)
# Those that are looked at; more than one of a kind is for the parser.
_KNOWN: Final = frozenset(
    (b"host", b"authorization", b"connection", b"user-agent", b"x-request-id", b"x-forwarded-for")
)
_LONGEST: Final = 4096
_ENTRY_BYTES: Final = 512
_ROOM: Final = 4 << 20

ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request line asks for."""

    method: str
    target: Manifest | Blob
    reference: str | Digest
    """The target's tag or digest."""


@dataclass(frozen=True, slots=True)
class Fields:
    """What a header block says."""

    token: bytes | None
    """SHA-256 of the token that is sent; None without a well-formed one."""
    agent: str
    """User-Agent, as far as it is kept."""
    id: bytes = b""
    """What the client calls the request; empty where it says nothing well-formed."""
    forwarded: str = ""
    """X-Forwarded-For."""


class Remembered(dict[bytes, ValueT | None]):
    """What a pure function makes of bytes: `remembered[key]` computes it once, and then looks it up.

    Takes up to `room` bytes, and forgets all of it when that is full: it costs no more than to parse again
    what comes again. What is longer than is ordinary is not even parsed, and None is not kept, nor what does
    not come again by `recurs`.
    """

    def __init__(
        self,
        parse: Callable[[bytes], ValueT | None],
        room: int = _ROOM,
        recurs: Callable[[ValueT], bool] = lambda _: True,
    ) -> None:
        super().__init__()
        self._recurs = recurs
        self._parse = parse
        self._room = room
        self._taken = 0

    def __missing__(self, key: bytes) -> ValueT | None:
        value = self._parse(key) if len(key) <= _LONGEST else None
        if value is not None and self._recurs(value):
            self._taken += len(key) + _ENTRY_BYTES
            if self._taken > self._room:
                self.clear()
                self._taken = len(key) + _ENTRY_BYTES
            self[key] = value
        return value


def asked(line: bytes) -> Asked | None:
    """Parse a request line, without its end; None for what is not ordinary."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    method, path = match.groups()
    try:
        target = parse(path.decode("ascii"))
    except Refusal:
        return None
    match target:
        case Manifest():
            return Asked(method.decode("ascii"), target, target.reference)
        case Blob():
            return Asked(method.decode("ascii"), target, target.digest)
        case _:
            return None


def fields(block: bytes) -> Fields | None:
    """Parse header lines, each with its CRLF; None for what is not ordinary."""
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
        if name in _KNOWN:
            if name in known:
                return None
            known[name] = value
    if b"host" not in known or known.get(b"connection", b"keep-alive").lower() != b"keep-alive":
        return None
    agent = printable(known.get(b"user-agent", b"").decode("ascii"))
    request_id = well_formed(known.get(b"x-request-id", b"").decode("ascii")).encode("ascii")
    forwarded = known.get(b"x-forwarded-for", b"").decode("ascii")
    return Fields(identify(known.get(b"authorization", b"").decode("ascii")), agent, request_id, forwarded)


def recurs(fields: Fields) -> bool:
    """Whether the same bytes will come again: an id makes each request another."""
    return not fields.id
