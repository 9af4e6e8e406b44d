"""The sockets that a node listens on."""

import socket
from collections.abc import Sequence
from contextlib import AsyncExitStack

from clients.process.listen import Address, bind


def listen(address: str, setting: str, stack: AsyncExitStack) -> list[socket.socket]:
    """Listen at an address until the stack ends.

    Raises ConfigurationError that names the setting.
    """
    sockets = bind(Address.parse(address, setting), setting)
    for listener in sockets:
        stack.callback(listener.close)
    return sockets


def name_of(sockets: Sequence[socket.socket]) -> str:
    """Give the `host:port` that they listen at."""
    host, port = sockets[0].getsockname()[:2]
    return str(Address(host, port))
