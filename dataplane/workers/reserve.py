"""A port that several processes of this node listen on, and nobody else."""

import socket
from contextlib import AsyncExitStack

from clients.process.listen import Address, bind

_SETTING = "PENSTOCK_REGISTRY_LISTEN"


def reserve(address: Address, count: int, stack: AsyncExitStack) -> list[list[socket.socket]]:
    """Listen on the registry's port for `count` workers; gives the sockets of each, until the stack ends.

    Raises ConfigurationError where the port is taken: with SO_REUSEPORT alone, two nodes of one user would
    share it in silence.
    """
    listeners = bind(address, _SETTING)
    chosen = Address(address.host, listeners[0].getsockname()[1])
    for listener in listeners:
        listener.close()
    queues = []
    for _ in range(count):
        queues.append(bind(chosen, _SETTING, shared=True))
        for listener in queues[-1]:
            stack.callback(listener.close)
    return queues
