"""Where a control plane is, and whether it is spoken to in TLS: what PENSTOCK_ADDRESS says."""

from dataclasses import dataclass
from typing import Final, Self

from clients.process.cleartext import SETTING as CLEARTEXT_SETTING
from clients.process.cleartext import is_here
from clients.process.exits import ConfigurationError
from clients.process.listen import Address

ADDRESS_SETTING: Final = "PENSTOCK_ADDRESS"

_EXAMPLE: Final = "127.0.0.1:8081, or https://penstock.example.com for one with TLS"
_PORT: Final = 443
"""Of https, where none is given."""


@dataclass(frozen=True, slots=True)
class Target:
    """`host:port` in clear, or `https://host:port` by TLS."""

    address: Address
    tls: bool = False

    @classmethod
    def parse(cls, text: str, setting: str = ADDRESS_SETTING) -> Self:
        """Parse `host:port`, or `https://host:port`; raises ConfigurationError, naming the setting."""
        scheme, separator, rest = text.strip().partition("://")
        if not separator:
            return cls(Address.parse(text, setting, _EXAMPLE))
        if scheme.lower() != "https" or any(character in rest for character in "?#"):
            raise ConfigurationError(
                f"{setting} is {text!r}: give host:port, or https://host:port for a control plane with TLS."
            )
        rest = rest.removesuffix("/")
        has_port = ":" in rest.rpartition("]")[2]
        return cls(Address.parse(rest if has_port else f"{rest}:{_PORT}", setting, _EXAMPLE), tls=True)

    @property
    def is_exposed(self) -> bool:
        """Whether what is said to it, tokens included, can be read by others than this machine."""
        return not self.tls and not is_here(self.address.host)

    @property
    def warning(self) -> str:
        """The sentence for whoever sends a token to it where it is exposed."""
        return (
            f"The token is sent in clear to {self.address}, for everybody on the way to read: give the"
            f" control plane a certificate, and set {ADDRESS_SETTING} to https://{self.address}; or set"
            f" {CLEARTEXT_SETTING}=true where nobody else can read the network."
        )

    def __str__(self) -> str:
        return f"https://{self.address}" if self.tls else str(self.address)
