"""What is asked of an upstream, and what comes back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from multidict import CIMultiDictProxy
from yarl import URL


class Kind(StrEnum):
    """What a request to a registry asks for, as it is counted."""

    TAG_PAGES = "tag_pages"
    MANIFEST_HEADS = "manifest_heads"
    MANIFEST_GETS = "manifest_gets"
    REFERRERS = "referrers"


@dataclass(frozen=True, slots=True)
class Account:
    """Whose requests an upstream counts: a host, as users write it, and a user name; empty for anybody."""

    host: str
    # Some registries take a token in its place.
    username: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A GET or HEAD to an upstream; `host` is how sentences for users name it."""

    host: str
    url: URL
    # Who asks, as far as the upstream's limits are concerned.
    username: str = field(default="", repr=False)
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    # Value of the Authorization header for the origin of `url`; empty sends none.
    authorization: str = field(default="", repr=False)
    # Whether loopback and private addresses may be connected to; None is as the transport says.
    allow_private: bool | None = None
    max_redirects: int = 5
    # Called before each attempt.
    attempted: Callable[[], None] | None = None
    # Whether it is for one manifest or blob: a registry that fails over it, with a 500, may give all others.
    of_content: bool = False
    # PEM certificates to verify `ca_host` with, in place of the system's; empty for these.
    ca_certificates: str = field(default="", repr=False)
    # The upstream's own host; empty for that of `url`.
    ca_host: str = ""

    @property
    def account(self) -> Account:
        """Whose request it is."""
        return Account(self.host, self.username)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read whole; of other than 2xx, the first 16 KiB. `url` is where it came from."""

    status: int
    headers: CIMultiDictProxy[str]
    url: URL
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds."""

    # Name resolution, and again connection with TLS.
    connect: float = 10
    # Silence while something is awaited.
    idle: float = 60
    # A whole answer that is read into memory; and an answer's headers, with all redirects, in any case.
    total: float = 120
    # Bytes a second of a blob that are the least, over so many seconds of waiting for them. Who is slower may
    # be asked again: this is less than any line that an image could be pulled over.
    floor: int = 1000
    window: float = 60
