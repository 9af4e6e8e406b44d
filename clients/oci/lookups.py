"""Look-ups of names in threads of their own.

The system's resolver blocks, for half a minute where a name server does not answer. In the threads of the
event loop, of which there are few, a handful of such names would keep all waiting that reads a file there.
"""

import asyncio
import socket
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from aiohttp.abc import ResolveResult

from clients.oci.domain import owner_of
from clients.process.aside import aside

# Names that are looked up at one time. Each has a thread, which stays until the system's resolver gives up.
_MOST: Final = 16
# Of these, those of one owner: who redirects to one name after another could else take all.
_MOST_OF_ONE: Final = 4
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Lookups:
    """Asks the system's resolver; at most so many at a time, while the others wait."""

    def __init__(self, most: int = _MOST) -> None:
        self._free = asyncio.Semaphore(most)
        self._owners: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def resolve(self, host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
        """Give the addresses of a host; raises OSError, and UnicodeError for what cannot be a name.

        A caller may leave at any time; the place stays taken for as long as the resolver takes.
        """
        owner = self._owners.setdefault(owner_of(host.lower()), asyncio.Semaphore(_MOST_OF_ONE))
        await owner.acquire()
        try:
            await self._free.acquire()
        except BaseException:
            owner.release()
            raise
        looking = asyncio.ensure_future(aside("name-lookup", partial(_look_up, host, port, family)))

        def leave(_: object) -> None:
            self._free.release()
            owner.release()
            if not looking.cancelled():
                # Whoever asked may be gone.
                looking.exception()

        looking.add_done_callback(leave)
        return await asyncio.shield(looking)


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    results: list[ResolveResult] = []
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    for kind, _, protocol, _, address in found:
        # Of a link-local address the number of the interface is a part.
        text, _ = socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
        results.append(
            ResolveResult(hostname=host, host=text, port=port, family=kind, proto=protocol, flags=_NUMERIC)
        )
    return results
