"""IP addresses and networks as settings, headers and sockets write them."""

import ipaddress
from typing import Final

from clients.process.exits import ConfigurationError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# RFC 4291, section 2.5.5.2; so the kernel writes it.
_MAPPED: Final = "::ffff:"
# Of an IPv6 address with brackets, zone and port.
_LONGEST: Final = 64


def parse_networks(text: str, setting: str) -> tuple[Network, ...]:
    """Read networks with commas between; raises ConfigurationError that names the setting."""
    try:
        return tuple(ipaddress.ip_network(name.strip()) for name in text.split(",") if name.strip())
    except ValueError as error:
        raise ConfigurationError(
            f"{setting}: {error}; give networks like 10.0.0.0/8,2001:db8::/32."
        ) from None


def parse_address(text: str) -> IPAddress | None:
    """Read `192.0.2.1` or `2001:db8::1`, also as `192.0.2.1:4711` or `[2001:db8::1]:4711`; else None.

    What a socket for both kinds makes of an IPv4 address is given as that address.
    """
    text = text.strip()
    if len(text) > _LONGEST:
        return None
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return plain(address)


def unmapped(peer: str) -> str:
    """Give an IP address from a socket as one for its own kind alone would: `::ffff:192.0.2.1` is IPv4."""
    return peer.removeprefix(_MAPPED)


def plain(address: IPAddress) -> IPAddress:
    """Give the IPv4 address that is written as one of IPv6, or the same."""
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address
