"""The sockets that a node listens on."""

import socket
from contextlib import AsyncExitStack

from clients.process.listen import Address, bind


def listen(address: str, setting: str, stack: AsyncExitStack, *, shared: bool = False) -> list[socket.socket]:
    """Listen at an address until the stack ends, `shared` with other processes of the node.

    Raises ConfigurationError that names the setting.
    """
    sockets = bind(Address.parse(address, setting), setting, shared=shared)
    for listener in sockets:
        stack.callback(listener.close)
    return sockets


def name_of(sockets: list[socket.socket]) -> str:
    """Give the `host:port` that they listen at."""
    host, port = sockets[0].getsockname()[:2]
    return str(Address(host, port))
