"""Who is sent to the bucket for a blob, and for which blobs."""

from dataclasses import dataclass
from typing import Self

from clients.process.exits import ConfigurationError
from clients.process.networks import Network, parse_address, parse_networks
from clients.process.size import parse_size


@dataclass(frozen=True, slots=True)
class RedirectRule:
    """Who is redirected, and for what."""

    above: int | None = None
    """Bytes; blobs that have more are redirected. None for no blob."""
    kept: tuple[Network, ...] = ()
    """Clients in these networks are not."""

    @classmethod
    def parse(cls, redirect: str, except_networks: str) -> Self:
        """Read PENSTOCK_S3_REDIRECT and PENSTOCK_S3_REDIRECT_EXCEPT; raises ConfigurationError."""
        try:
            above = {"never": None, "always": 0}[redirect] if redirect.isalpha() else parse_size(redirect)
        except (KeyError, ValueError):
            raise ConfigurationError(
                f"PENSTOCK_S3_REDIRECT is {redirect!r}: give never, always, or a size like 16MiB, above"
                " which blobs are redirected."
            ) from None
        return cls(above, parse_networks(except_networks, "PENSTOCK_S3_REDIRECT_EXCEPT"))

    def concerns(self, size: int, address: str) -> bool:
        """Tell whether a client at this IP address is redirected for a blob of so many bytes."""
        if self.above is None or size <= self.above:
            return False
        if not self.kept:
            return True
        client = parse_address(address)
        return client is not None and not any(client in network for network in self.kept)
