"""A request as decisions see it, and the answer to it: values that know no server."""

from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeGuard

if TYPE_CHECKING:
    from dataplane.http.pace import Pace

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""What is told apart where requests are counted and traced: a client may write any word."""

Headers = tuple[tuple[str, str], ...]
Chunk = bytes | memoryview


class Stream(Protocol):
    """A body that is produced while it is sent, of exactly the length that its answer says."""

    async def read(self) -> Chunk | None:
        """Give the next bytes; None after the last. An exception means that the rest cannot be had."""
        ...

    async def close(self) -> None:
        """Let go of what the body holds; called once, however much was read."""
        ...


class FilePart(NamedTuple):
    """Bytes of an open file, from `start` up to, but not including, `stop`."""

    descriptor: int
    start: int
    stop: int


class FileBody(Stream, Protocol):
    """A Stream whose bytes, or the first of them, can be taken from a file as well."""

    async def part(self) -> FilePart | None:
        """Wait for the next bytes and tell where they are; None where only `read` gives them, and at the end.

        They count as given only once `skip` says so. The descriptor is good until `close`.
        """
        ...

    def skip(self, count: int) -> None:
        """Note that so many of the bytes of the last part need not be given any more."""
        ...


def is_in_file(body: Stream) -> TypeGuard[FileBody]:
    """Tell whether it is a FileBody; asking the protocol itself costs a thirtieth of a whole request."""
    return hasattr(body, "part")


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of a request that answers depend on; header values are empty where they are missing."""

    method: str
    target: str
    """The request target as it was sent: percent-encoded, with its query."""
    authorization: str = ""
    range: str = ""
    if_range: str = ""
    if_match: str = ""
    if_none_match: str = ""
    address: str = ""
    """The IP address that the request came from."""
    agent: str = ""
    """User-Agent, as far as it is kept."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response without its framing: the server adds Content-Length and Date.

    For HEAD it is that of GET; a body of bytes is left out by the server, a Stream is not even made.
    """

    status: int
    headers: Headers = ()
    body: bytes | Stream = b""
    length: int = 0
    """Content-Length, in bytes; ignored for 304."""
    pace: "Pace | None" = None
    """How fast a Stream is sent; None for as fast as it can be."""
    route: str = "none"
    """What kind of thing was asked for, as it is counted."""

    @classmethod
    def whole(cls, status: int, headers: Headers, body: bytes) -> "Answer":
        """Make an answer whose body is at hand."""
        return cls(status, headers, body, len(body))


class Pieces:
    """A Stream over chunks that are made one at a time, from what is in memory."""

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = iter(chunks)

    async def read(self) -> Chunk | None:
        """See Stream."""
        return next(self._chunks, None)

    async def close(self) -> None:
        """See Stream; there is nothing to let go of."""


class FileAnswer(NamedTuple):
    """A complete answer, ready to be sent: its head as bytes, its body as a part of a file."""

    head: bytes
    part: FilePart
    rest: Callable[[int], AsyncGenerator[memoryview, None]]
    """Gives the body's bytes from an offset on, where the file cannot be read."""
    done: Callable[[int], None]
    """To be called once, with the bytes of the body that were sent; lets go of the file."""
    pace: "Pace | None" = None
    """See Answer."""
