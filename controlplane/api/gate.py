"""The one way into every method, over gRPC and HTTP alike."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from google.protobuf.message import Message

from clients.process.attempts import Attempts
from clients.process.networks import unmapped
from clients.process.proxies import Proxies
from controlplane.api.audit import changing
from controlplane.api.authenticate import Authenticator, SignInRefused
from controlplane.api.authorize import WHO_MAY, Who, authorize
from controlplane.api.caller import Caller, acting_as
from controlplane.api.errors import exhausted
from controlplane.api.uses import Uses


class Gate:
    """Admits callers to methods."""

    def __init__(
        self,
        authenticator: Authenticator,
        uses: Uses,
        proxies: Proxies | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take who recognises callers, who takes note of them, and who may speak for others.

        `clock` counts seconds.
        """
        self._authenticator = authenticator
        self._uses = uses
        self._clock = clock
        self._proxies = proxies or Proxies()
        self._attempts = Attempts()

    def address(self, peer: str, forwarded: str) -> str:
        """Give the IP address of who calls, from that of the peer and from X-Forwarded-For."""
        return self._proxies.client(unmapped(peer), forwarded)

    async def admit(self, method: str, authorization: str, address: str) -> Caller:
        """Give who calls from an IP address, if they may call the method at `/package.Service/Method`.

        Raises ApiError UNAUTHENTICATED or PERMISSION_DENIED, RESOURCE_EXHAUSTED for who goes on with tokens
        that are refused, and DatabaseUnavailable. A good token is taken whatever else its address sends.
        """
        try:
            caller = await self._authenticator.caller(authorization)
        except SignInRefused as error:
            self._uses.refused(address, error.token_uid)
            wait = max(
                self._attempts.refused(key, self._clock()) for key in (address, error.token_uid) if key
            )
            if wait:
                raise exhausted(
                    "TOO_MANY_SIGN_INS",
                    "Too many tokens were refused to this address, or too often this one.",
                    retry_after=wait,
                ) from error
            raise
        if caller.token_uid:
            self._uses.used(caller.token_uid, address)
        authorize(method, caller)
        return caller

    @staticmethod
    @contextmanager
    def answering(method: str, request: Message, caller: Caller, address: str) -> Iterator[None]:
        """Answer a request of this caller in the block, and audit what it changes."""
        with acting_as(caller), changing(method, request, caller, address):
            yield

    @staticmethod
    def is_open(method: str) -> bool:
        """Whether the method needs no token."""
        row = WHO_MAY.get(method)
        return row is not None and row.member is Who.ANYBODY
