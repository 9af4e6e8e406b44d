"""How often a credential is tried: not again at once after it was refused, so that no account is locked."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from clients.oci.credential import Basic
from clients.oci.errors import CredentialRefused
from clients.oci.upstream import Upstream

# Seconds between two attempts with a credential that was refused.
_PAUSE = 60.0
_REMEMBERED = 10_000

# No secret: what was said of a credential is known for longer than the credential is there.
_Key = tuple[str, bool, bytes]


class Attempts:
    """What registries said of credentials; one is known by the registry and all of the credential.

    `clock` gives seconds and is never set.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._accepted: OrderedDict[_Key, None] = OrderedDict()
        # With the time of the next attempt.
        self._refused: OrderedDict[_Key, float] = OrderedDict()
        self._trials: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def trial(self, upstream: Upstream, credential: Basic) -> AsyncIterator[None]:
        """Shows a credential in the block, which then says what came of it.

        One at a time until it is accepted: many who begin at once with a wrong password make one attempt.
        Raises CredentialRefused where it was refused less than a minute ago.
        """
        key = _key(upstream, credential)
        self._check(key)
        trial = self._trials.setdefault(key, asyncio.Lock())
        if key not in self._accepted:
            await trial.acquire()
            if key not in self._accepted:
                try:
                    self._check(key)
                    yield
                finally:
                    trial.release()
                return
            trial.release()
        yield

    def knows(self, upstream: Upstream, credential: Basic) -> bool:
        """Tells whether the registry accepted it, and has not refused it since."""
        return _key(upstream, credential) in self._accepted

    def accept(self, upstream: Upstream, credential: Basic) -> None:
        """Takes note that the registry, or its token service, took it."""
        key = _key(upstream, credential)
        self._refused.pop(key, None)
        self._accepted[key] = None
        self._accepted.move_to_end(key)
        if len(self._accepted) > _REMEMBERED:
            self._accepted.popitem(last=False)

    def refuse(self, upstream: Upstream, credential: Basic) -> CredentialRefused:
        """Takes note that it was refused, and makes the error that says so."""
        key = _key(upstream, credential)
        self._accepted.pop(key, None)
        self._refused[key] = self._clock() + _PAUSE
        self._refused.move_to_end(key)
        if len(self._refused) > _REMEMBERED:
            self._refused.popitem(last=False)
        return CredentialRefused(
            upstream.host, f"{upstream.host} refuses the credential: its user name or password is wrong."
        )

    def _check(self, key: _Key) -> None:
        left = self._refused.get(key, 0.0) - self._clock()
        if left > 0:
            host = key[0]
            raise CredentialRefused(
                host,
                f"{host} refused the credential (its user name or password is wrong); it is tried again in"
                f" {max(1, round(left))} s, or when it was changed.",
            )


def _key(upstream: Upstream, credential: Basic) -> _Key:
    return (upstream.host, upstream.plain_http, credential.fingerprint)
