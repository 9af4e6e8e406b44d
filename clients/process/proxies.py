"""Reverse proxies and load balancers in front of a port: whose requests they bring."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Self

from clients.process.networks import Network, parse_address, parse_networks

HEADER: Final = "X-Forwarded-For"

TRUSTED_PROXIES: Final = "PENSTOCK_TRUSTED_PROXIES"
TRUSTED_PROXIES_DESCRIPTION: Final = (
    "networks of the load balancers and reverse proxies in front of it, like `10.0.0.0/8,2001:db8::/32`:"
    " whose a request is, they say in `X-Forwarded-For`"
)

# Proxies that a request may have come through.
_HOPS: Final = 16
_REMEMBERED: Final = 4096
_LONGEST: Final = 256


class Proxies:
    """Those in some networks are believed; what anybody else says of a client is not even looked at."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._recall = lru_cache(_REMEMBERED)(self._client)

    @classmethod
    def parse(cls, networks: str) -> Self:
        """Read PENSTOCK_TRUSTED_PROXIES; raises ConfigurationError."""
        return cls(parse_networks(networks, TRUSTED_PROXIES))

    def __bool__(self) -> bool:
        """Whether anybody is believed."""
        return bool(self._networks)

    def trusts(self, address: str) -> bool:
        """Whether there is one of them at this IP address."""
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def client(self, peer: str, forwarded: str) -> str:
        """Give the IP address of the client whose request comes from `peer`.

        `forwarded` is X-Forwarded-For, all lines of it with commas between. Each proxy adds whom it was
        asked by, so the last entry is the peer's word, and the one before it is that of whom the last
        names: the first address from behind that is no trusted proxy's is the client. What stands before
        that, anybody can have written. An entry that is no address ends the search at who gave it.
        """
        if not (forwarded and self._networks):
            return peer
        return self._recall(peer, forwarded) if len(forwarded) <= _LONGEST else self._client(peer, forwarded)

    def _client(self, peer: str, forwarded: str) -> str:
        client = peer
        for entry in reversed(forwarded.rsplit(",", _HOPS)[-_HOPS:]):
            if not self.trusts(client):
                break
            named = parse_address(entry)
            if named is None:
                break
            client = str(named)
        return client
