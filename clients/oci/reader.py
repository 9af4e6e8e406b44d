"""Who reads what of an upstream, what lets them, and how a process remembers that without their passwords."""

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

from clients.oci.credential import Basic
from clients.oci.upstream import Upstream

# In seconds. What has not been used for so long is dropped, for the credential may be gone that it was got
# with; and how often to look for that, and for what has ended.
_UNUSED = 3600.0
_LOOK = 60.0
_REMEMBERED = 10_000

ReaderKey = tuple[Upstream, bytes, bytes]
"""Stands for a reader; tells no more of credential and certificates than whether they are the same."""


@dataclass(frozen=True, slots=True)
class Reader:
    """An upstream repository, read with a credential or with none; `ca_certificates` are as in Request."""

    upstream: Upstream
    credential: Basic | None = None
    ca_certificates: str = field(default="", repr=False)

    @property
    def key(self) -> ReaderKey:
        """What it is remembered by."""
        credential = b"" if self.credential is None else self.credential.fingerprint
        certificates = blake2b(self.ca_certificates.encode()).digest() if self.ca_certificates else b""
        return (self.upstream, credential, certificates)


@dataclass(frozen=True, slots=True)
class Authorization:
    """What reads one upstream repository.

    `value` is for the Authorization header, to the upstream's own origin only; empty where it wants none.
    `expires_at` is when that ends; None when it does not, or is empty.
    """

    value: str = field(repr=False)
    expires_at: datetime | None


@dataclass(slots=True)
class _Entry:
    # None where a registry takes the credential itself.
    authorization: Authorization | None
    # When it is to be got anew, and when it was used last.
    until: float
    used: float


class Held:
    """Authorizations by reader, of which the one that was used last stays longest.

    No credential is held, and a token for no more than an hour after its last use: what is over goes within a
    minute, as long as anything is asked. `clock` gives seconds and is never set.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: OrderedDict[ReaderKey, _Entry] = OrderedDict()
        self._looked = clock()

    def get(self, reader: Reader) -> Authorization | None:
        """Give what is held and still good; None when nothing is."""
        now = self._clock()
        self._drop(now)
        key = reader.key
        entry = self._entries.get(key)
        if entry is None or now >= entry.until:
            return None
        entry.used = now
        self._entries.move_to_end(key)
        if entry.authorization is None and reader.credential is not None:
            return Authorization(reader.credential.header, None)
        return entry.authorization

    def keep(self, reader: Reader, authorization: Authorization, until: float) -> None:
        """Hold a token, or that none is wanted, until then."""
        self._put(reader, authorization, until)

    def keep_credential(self, reader: Reader) -> None:
        """Hold that the reader's credential itself is taken."""
        self._put(reader, None, math.inf)

    def forget(self, reader: Reader) -> None:
        """Drop what is held for a reader."""
        self._entries.pop(reader.key, None)

    def _put(self, reader: Reader, authorization: Authorization | None, until: float) -> None:
        key, now = reader.key, self._clock()
        self._drop(now)
        self._entries[key] = _Entry(authorization, until, now)
        self._entries.move_to_end(key)
        if len(self._entries) > _REMEMBERED:
            self._entries.popitem(last=False)

    def _drop(self, now: float) -> None:
        if now - self._looked < _LOOK:
            return
        self._looked = now
        entries = self._entries.items()
        for key in [key for key, one in entries if now >= min(one.until, one.used + _UNUSED)]:
            del self._entries[key]
