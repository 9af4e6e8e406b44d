"""Name resolution that gives out only addresses that an upstream may have."""

import asyncio
import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from clients.oci.address import Address, AddressRefused, is_public, parse_address
from clients.oci.lookups import Lookups


class GuardedResolver(AbstractResolver):
    """Resolves with the system's resolver and drops addresses that are not public.

    The connector connects to the very addresses that were checked, so a name that resolves otherwise a
    moment later (DNS rebinding) gains nothing. Raises AddressRefused where no address is left, and OSError
    for a name that does not resolve within `timeout` seconds.
    """

    def __init__(self, *, allow_private: bool, timeout: float) -> None:
        self._allow_private = allow_private
        self._timeout = timeout
        self._system = Lookups()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Returns the addresses of a host that may be connected to."""
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._system.resolve(host, port, family)
        except TimeoutError:
            raise OSError(None, "the name was not resolved in time") from None
        except UnicodeError:
            # What the system's encoder for names says of one that is too long.
            raise OSError(None, "the name is not a host name") from None
        if self._allow_private:
            return found
        kept = [result for result in found if _is_public(result["host"])]
        if found and not kept:
            raise AddressRefused(host, _address(found[0]["host"]))
        return kept

    async def close(self) -> None:
        """Does nothing: a look-up that is under way ends by itself."""


def _address(text: str) -> Address:
    address = parse_address(text)
    if address is None:
        raise OSError(None, "the resolver did not answer with an address")
    return address


def _is_public(text: str) -> bool:
    return is_public(_address(text))
