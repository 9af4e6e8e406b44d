"""The one way into every method, over gRPC and HTTP alike."""

from controlplane.api.authenticate import Authenticator
from controlplane.api.authorize import WHO_MAY, Who, authorize
from controlplane.api.caller import Caller


class Gate:
    """Admits callers to methods."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def admit(self, method: str, authorization: str) -> Caller:
        """Give who calls, if they may call the method at its path `/package.Service/Method`.

        Raises ApiError UNAUTHENTICATED or PERMISSION_DENIED, and DatabaseUnavailable.
        """
        caller = await self._authenticator.caller(authorization)
        authorize(method, caller)
        return caller

    @staticmethod
    def is_open(method: str) -> bool:
        """Whether the method needs no token."""
        row = WHO_MAY.get(method)
        return row is not None and row.member is Who.ANYBODY
