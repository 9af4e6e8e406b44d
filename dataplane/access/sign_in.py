"""Who signs in with a request, and what becomes of those who may not."""

from dataclasses import dataclass, field

from clients.process.attempts import Attempts
from dataplane.access.authenticate import admit, identify
from dataplane.access.principal import Principal
from dataplane.access.uses import Uses
from dataplane.config.configuration import Configuration


@dataclass(slots=True)
class Failures:
    """Sign-ins that were refused, since the start of the process, by what was wrong with the token."""

    malformed: int = 0
    unknown: int = 0
    expired: int = 0
    revoked: int = 0
    slowed: int = 0
    """Of all of them, those that were told to wait."""


class SignInRefused(Exception):
    """Nobody that may pull; `wait` is how many seconds to wait with the next try, 0 for none."""

    def __init__(self, wait: float) -> None:
        super().__init__("the sign-in is refused")
        self.wait = wait


@dataclass(slots=True)
class SignIns:
    """Admits requests by their Authorization header, and counts those that it does not admit."""

    failures: Failures = field(default_factory=Failures)
    uses: Uses = field(default_factory=Uses)
    _attempts: Attempts = field(default_factory=Attempts)

    def admit(self, authorization: str, address: str, configuration: Configuration, now: float) -> Principal:
        """Give who sends this; raises SignInRefused. `now` is in seconds since the epoch.

        Without a header it is no attempt: clients ask like that first, to hear how to sign in.
        """
        token = identify(authorization)
        principal = admit(token, configuration.principals, now)
        if principal is not None:
            self.uses.used(principal.token_uid, address, now)
            return principal
        if not authorization:
            raise SignInRefused(0)
        ended = self._count(token, configuration)
        wait = self._attempts.refused(address, now)
        if ended is None:
            self.uses.refused(address, "", now)
        else:
            self.uses.refused(address, ended.token_uid, now, ended.organization_uid)
            wait = max(wait, self._attempts.refused((ended.token_uid,), now))
        if wait:
            self.failures.slowed += 1
        raise SignInRefused(wait)

    def _count(self, token: bytes | None, configuration: Configuration) -> Principal | None:
        """Count what was wrong, and give whose token it was, of one that is known."""
        if token is None:
            self.failures.malformed += 1
            return None
        expired = configuration.principals.get(token)
        if expired is not None:
            self.failures.expired += 1
            return expired
        revoked = configuration.revoked.get(token)
        if revoked is not None:
            self.failures.revoked += 1
        else:
            self.failures.unknown += 1
        return revoked
