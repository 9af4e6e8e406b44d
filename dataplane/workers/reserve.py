"""A port that several processes of this node listen on, and nobody else."""

import socket
from contextlib import AsyncExitStack

from clients.process.listen import Address, bind


def reserve(address: Address, stack: AsyncExitStack) -> Address:
    """Keep the registry's port for as long as the stack lives; gives it, also where the system chose it.

    Nothing listens on it until workers do. Raises ConfigurationError where it is taken: with SO_REUSEPORT
    alone, two nodes of one user would share it in silence.
    """
    setting = "PENSTOCK_REGISTRY_LISTEN"
    listeners = bind(address, setting)
    places = [(listener.family, listener.getsockname()) for listener in listeners]
    for listener in listeners:
        listener.close()
    for family, place in places:
        keeper = socket.socket(family, socket.SOCK_STREAM)
        stack.callback(keeper.close)
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            keeper.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        keeper.bind(place)
    return Address(address.host, places[0][1][1])
