"""Listening addresses: `host:port` in a setting, to sockets that listen."""

import errno
import socket
from dataclasses import dataclass
from typing import Self

from clients.process.exits import ConfigurationError

_BACKLOG = 1024
_EXAMPLE = "127.0.0.1:8080, or 0.0.0.0:8080 for all interfaces ([::]:8080 with IPv6)"
_ALL = "::"
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to recognise, not to bind


@dataclass(frozen=True, slots=True)
class Address:
    """A host (a name or an IP address, without brackets) and a TCP port; port 0 lets the system choose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, setting: str, example: str = _EXAMPLE) -> Self:
        """Parse `host:port` or `[IPv6]:port` as found in `setting`.

        Raises ConfigurationError, naming the setting and what could stand there.
        """
        if "@" in text:
            # It may be a password: who reads the sentence need not.
            raise ConfigurationError(
                f"{setting} has a user or a password, which goes into no address: give host and port, like"
                f" {example}."
            )
        host, separator, port = text.strip().rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if bracketed:
            host = host[1:-1]
        if not separator or not host or (":" in host) != bracketed or any(c in host for c in "[]/ @"):
            raise ConfigurationError(f"{setting} is {text!r}: give host and port, like {example}.")
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) <= 65535):
            raise ConfigurationError(f"{setting} is {text!r}: the port must be a number from 0 to 65535.")
        return cls(host, int(port))

    @property
    def dialled(self) -> "Address":
        """Where a client on this machine reaches what listens here: loopback stands for all interfaces."""
        return Address(_LOOPBACK.get(self.host, self.host), self.port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def bind(address: Address, setting: str, *, shared: bool = False) -> list[socket.socket]:
    """Listen on every IP address that the host stands for, and give the non-blocking sockets.

    `::` stands for all of both kinds, as it does for gRPC; an IPv4 client is then one at `::ffff:192.0.2.1`.
    All of them share one port, also when the system chooses it; with `shared`, so can other processes of
    this user that say the same (SO_REUSEPORT). Raises ConfigurationError, naming the setting, where the
    port is taken or the address is not this machine's.
    """
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise ConfigurationError(
            f"The host in {setting} ({address}) does not resolve: {_reason(error)};"
            " give an address of this machine."
        ) from error
    sockets: list[socket.socket] = []
    port = address.port
    try:
        for family, sockaddr in dict.fromkeys((entry[0], entry[4]) for entry in found):
            listener = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, sockaddr[0] != _ALL)
            listener.settimeout(0)
            listener.bind((sockaddr[0], port, *sockaddr[2:]))
            listener.listen(_BACKLOG)
            port = listener.getsockname()[1]
    except OSError as error:
        for listener in sockets:
            listener.close()
        raise ConfigurationError(_refusal(address, setting, error)) from error
    return sockets


def check_free(address: Address, setting: str) -> None:
    """Raise ConfigurationError, naming the setting, where `bind` would.

    For servers that bind by themselves, and would share a taken port in silence (SO_REUSEPORT).
    """
    for listener in bind(address, setting):
        listener.close()


def _refusal(address: Address, setting: str, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{address} is taken by another process: stop that one, or set {setting} to another port."
        case errno.EADDRNOTAVAIL:
            return f"{address.host} is not an address of this machine: set {setting} to one that is."
        case errno.EACCES:
            return f"This user may not listen on {address}: set {setting} to a port above 1023."
        case _:
            return f"Cannot listen on {address}: {_reason(error)}; set {setting} to another address."


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).rstrip(".").lower()
