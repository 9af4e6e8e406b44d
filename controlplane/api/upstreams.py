"""What callers say of upstreams: read at the edge, and tried before it is saved."""

from collections.abc import Awaitable, Callable
from typing import Final

from clients.oci.address import is_public, parse_address
from clients.oci.errors import ForbiddenAddress, UpstreamError
from clients.oci.upstream import Upstream
from controlplane.api.errors import Violation, from_check, invalid
from controlplane.upstream.access import Target

FIELD: Final = "artifact.upstream"
_PRIVATE: Final = (
    "these are refused unless PENSTOCK_ALLOW_PRIVATE_UPSTREAMS is true;"
    " give one like docker.io/library/redis."
)


class Upstreams:
    """Reads and tries upstreams; `check` raises UpstreamError for one that cannot be used."""

    def __init__(self, check: Callable[[Target], Awaitable[None]], *, allow_private: bool) -> None:
        self._check = check
        self._allow_private = allow_private

    def parse(self, text: str, *, plain_http: bool) -> Upstream:
        """Read an upstream repository; raises ValueError with a sentence and a good example."""
        upstream = Upstream.parse(text, plain_http=plain_http)
        host = _without_port(upstream.host)
        address = parse_address(host)
        private = host == "localhost" or (address is not None and not is_public(address))
        if private and not self._allow_private:
            raise ValueError(f"{upstream.host} is this machine or a private address, and {_PRIVATE}")
        return upstream

    async def examine(self, target: Target, **metadata: str) -> None:
        """Ask the upstream whether it can be used, with exactly this credential.

        Raises ApiError FAILED_PRECONDITION with what it said, and INVALID_ARGUMENT where its host
        is at an address that is not allowed. `metadata` goes with the former.
        """
        try:
            await self._check(target)
        except ForbiddenAddress as error:
            sentence = str(error).rstrip(".")
            raise invalid([Violation(FIELD, f"{sentence}, and {_PRIVATE}")]) from error
        except UpstreamError as error:
            raise from_check(error, **metadata) from error


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0][1:]
    return host.partition(":")[0]
