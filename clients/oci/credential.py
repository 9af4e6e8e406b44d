"""What a private registry is shown, and where that comes from."""

import base64
from dataclasses import dataclass, field
from typing import Protocol

from clients.oci.errors import CredentialRefused


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
        pair = f"{self.username}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


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
