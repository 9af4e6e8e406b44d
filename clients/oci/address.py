"""Which network addresses an upstream may have."""

import ipaddress
from functools import lru_cache

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_UNICAST = ipaddress.IPv6Network("2000::/3")
# IPv6 addresses that stand for the IPv4 address in their last four bytes.
_TRANSLATED = tuple(ipaddress.IPv6Network(text) for text in ("64:ff9b::/96", "::/96"))
# What the library's tables take for global, and is not.
_FORBIDDEN = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments, among them Oracle's metadata service
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # Azure's platform service
    )
)


class AddressRefused(Exception):
    """A host is at an address that it may not have; `str()` is a sentence without its full stop."""

    def __init__(self, host: str, address: Address) -> None:
        super().__init__(f"{host} is at {address}, which is a private or reserved address")


# Asked once a request, of few hosts.
@lru_cache(maxsize=1024)
def parse_address(text: str) -> Address | None:
    """Reads an address as a URL's host has it; None for a name."""
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Tells whether an address is on the public Internet.

    Loopback, link-local (where cloud metadata services are), private, shared, multicast and reserved
    ranges are not, and neither are IPv6 addresses that carry such an IPv4 address.
    """
    if isinstance(address, ipaddress.IPv4Address):
        inside = any(address in network for network in _FORBIDDEN)
        return address.is_global and not address.is_multicast and not inside
    carried = _carried(address)
    if carried is not None:
        return is_public(carried)
    return address in _UNICAST and address.is_global


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    # An address that a kernel, a relay or a gateway would turn into an IPv4 one.
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _TRANSLATED):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None
