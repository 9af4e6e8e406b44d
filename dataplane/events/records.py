"""What is noted of requests, as it travels from the workers of a node to the one that folds it."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

LONGEST_AGENT = 200
"""Characters that are kept of a User-Agent."""

_SHORT = 16


class Kind(StrEnum):
    """What a record tells of."""

    LOOK = "look"
    """A manifest was asked for, and not sent: HEAD, or a GET that was answered with 304."""
    GET = "get"
    """A manifest was sent."""
    BEGIN = "begin"
    """A blob was asked for."""
    SENT = "sent"
    """A blob was asked for, and its transfer has ended within moments: BEGIN and END in one."""
    RUN = "run"
    """A blob is still being sent."""
    END = "end"
    """A blob was sent, or its transfer has ended early."""


class Client(NamedTuple):
    """Whose request it was, and for which artifact: only such requests are ever folded together."""

    token_uid: str
    user_uid: str
    customer_uid: str
    organization_uid: str
    artifact_uid: str
    address: str


class Outline(NamedTuple):
    """What a manifest names."""

    children: tuple[tuple[str, str], ...] = ()
    """Manifests of an index: digest and platform."""
    blobs: tuple[str, ...] = ()
    """Config, and then layers, by `short` of their digests."""
    cut: bool = False
    """Whether it names more than is told here."""

    @property
    def names(self) -> int:
        """How many names it has: what it takes of memory."""
        return len(self.children) + len(self.blobs)


NOTHING: Final = Outline()


class Record(NamedTuple):
    """One thing to be told; for `Kind.GET` and `LOOK` also for all that followed within moments."""

    kind: Kind
    at: float
    """Seconds since the epoch."""
    last: float
    """The same of the last request that it tells of."""
    client: Client
    agent: str
    digest: str
    tag: str = ""
    """Empty where the manifest was asked for by digest, and for blobs."""
    bytes: int = 0
    """Of bodies, sent."""
    warm: bool = True
    """Whether a blob was in the cache."""
    part: bool = False
    """Whether only some of the blob's bytes were asked for."""
    whole: bool = False
    """Whether a transfer has sent all that was asked for."""
    outline: Outline = NOTHING
    """Of a manifest."""
    redirected: int = 0
    """Bytes that the client was sent elsewhere for."""

    @classmethod
    def unpack(cls, packed: list[Any]) -> Self:
        """Make one of what JSON leaves of it."""
        kind, at, last, client, agent, digest, tag, size, warm, part, whole, outline, redirected = packed
        children, blobs, cut = outline
        return cls(
            _KINDS[kind],
            at,
            last,
            Client(*client),
            agent,
            digest,
            tag,
            size,
            warm,
            part,
            whole,
            Outline(tuple(map(tuple, children)), tuple(blobs), cut) if children or blobs else NOTHING,
            redirected,
        )


_KINDS: Final = {kind.value: kind for kind in Kind}


def short(digest: str) -> str:
    """Give enough of a digest to tell the blobs of one artifact apart."""
    return digest.partition(":")[2][:_SHORT]


def printable(agent: str) -> str:
    """Give what is kept of a User-Agent."""
    return "".join(character for character in agent[:LONGEST_AGENT] if character.isprintable())


def unpack(packed: Iterable[list[Any]]) -> list[Record]:
    """Make records of what JSON leaves of them."""
    return [Record.unpack(one) for one in packed]
