"""An Internet on this machine: names that resolve to loopback addresses, some of which count as public."""

import socket
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from clients.oci.address import Address, is_public

# Loopback as a whole is this machine; this part of it plays the Internet. The rest of loopback stays private.
_PUBLIC = ip_network("127.1.0.0/16")
# Where `clients.oci` asks whether an address is public.
_ASKED_IN = ("clients.oci.transport", "clients.oci.resolver")


class Internet:
    """Names and addresses for the length of a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # What a name resolves to: these in turn, the last for ever.
        self._names: dict[str, list[str]] = {}
        self._used = 0
        self._system = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        for module in _ASKED_IN:
            monkeypatch.setattr(f"{module}.is_public", _is_public)

    def address(self, name: str = "") -> str:
        """Gives a public address that nobody else has, and lets a name resolve to it."""
        self._used += 1
        address = f"127.1.0.{self._used}"
        if name:
            self.resolve(name, address)
        return address

    def resolve(self, name: str, *addresses: str) -> None:
        """Lets a name resolve to one address after the other, and for ever to the last."""
        self._names[name] = list(addresses)

    def _getaddrinfo(self, host: str, port: Any, *args: Any, **kwargs: Any) -> Any:
        addresses = self._names.get(host)
        if addresses is not None:
            host = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return self._system(host, port, *args, **kwargs)


def _is_public(address: Address) -> bool:
    return address in _PUBLIC or is_public(ip_address(address))
