"""What a private registry is shown, and where that comes from."""

import base64
import secrets
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Protocol

from clients.oci.errors import CredentialRefused

# Without it, a password that is weak could be guessed from what stands for it.
_KEY: Final = secrets.token_bytes(32)


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and password (RFC 7617); the password is not part of the representation."""

    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if ":" in self.username:
            raise ValueError("a user name has no colon")

    @property
    def header(self) -> str:
        """Value of the Authorization header."""
        return f"Basic {base64.b64encode(self._pair).decode()}"

    @property
    def fingerprint(self) -> bytes:
        """What stands for it where it is remembered, in this process, for longer than it is used."""
        return blake2b(self._pair, key=_KEY, digest_size=32).digest()

    @property
    def _pair(self) -> bytes:
        return f"{self.username}:{self.password}".encode()


class CredentialSource(Protocol):
    """Gives the credential for one upstream repository, and hears how it fared.

    For credentials that change while a client of the repository is in use.
    """

    async def get(self, *, refused: Basic | None = None) -> Basic | None:
        """Gives the credential, None for none; raises UpstreamError where it cannot be had.

        With `refused`, which the upstream no longer takes: another one, or the same if there is none.
        """
        ...

    def accepted(self) -> None:
        """Takes note that the upstream took the credential just now."""
        ...

    def rejected(self, error: CredentialRefused) -> None:
        """Takes note that the upstream refused the credential, after `get` had no better one."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """A credential that does not change; a CredentialSource."""

    credential: Basic | None

    async def get(self, *, refused: Basic | None = None) -> Basic | None:
        """Gives it, refused or not."""
        del refused
        return self.credential

    def accepted(self) -> None:
        """Keeps nothing."""

    def rejected(self, error: CredentialRefused) -> None:
        """Keeps nothing."""
