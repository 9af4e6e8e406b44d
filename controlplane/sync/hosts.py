"""Keeps syncs from asking one upstream host too much, whatever artifacts they are of."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

from clients.oci.rate import Rates
from clients.oci.request import Account
from controlplane.sync.ended import RunEnded

PARALLEL: Final = 16
SHARE: Final = 0.25


class Hosts:
    """The turns of all runs of this process at upstream hosts, by the names that users write.

    At most `parallel` requests are under way to one host. `rates` are what hosts said of the limits of each
    account: a scheduled run ends when less than `share` (0 to 1) of its quota is left, for pulls need it.
    """

    def __init__(
        self,
        rates: Rates | None = None,
        *,
        parallel: int = PARALLEL,
        share: float = SHARE,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._rates = rates or Rates(clock)
        self._parallel = parallel
        self._share = share
        self._clock = clock
        self._sleep = sleep
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def deadline(self, seconds: float) -> float:
        """Give the end of a run that begins now, for `turn`."""
        return self._clock() + seconds

    @asynccontextmanager
    async def turn(self, account: Account, *, deadline: float, sparing: bool) -> AsyncIterator[None]:
        """Wait until the account may ask its host, and hold a place while the block asks.

        Raises RunEnded where that would be after the `deadline`, and for a `sparing` run where the quota
        is to be left to others. Any other run asks all the same, where the host said so over a minute ago.
        """
        turns = self._turns.get(account.host)
        if turns is None:
            turns = self._turns[account.host] = asyncio.Semaphore(self._parallel)
        while True:
            # Without a place, which others may use meanwhile.
            await self._wait(account, deadline, sparing=sparing)
            async with turns:
                if self._rates.pause(account):
                    continue
                if sparing:
                    self._spare(account)
                yield
                return

    async def _wait(self, account: Account, deadline: float, *, sparing: bool) -> None:
        while pause := self._rates.pause(account):
            if self._clock() + pause >= deadline:
                # Somebody wants it now, and may know better: a limit that was raised, a wrong header.
                if not sparing and self._rates.lift(account):
                    return
                raise RunEnded(
                    f"{account.host} asks for fewer requests: it wants to be left alone for {round(pause)}"
                    " seconds, and that is longer than this sync may take."
                )
            await self._sleep(pause)

    def _spare(self, account: Account) -> None:
        quota = self._rates.quota(account)
        if quota is not None and quota.share < self._share:
            raise RunEnded(
                f"{account.host} says that {quota.remaining} of {quota.limit} requests are left: scheduled"
                f" syncs stop below {self._share:.0%} (PENSTOCK_SYNC_RATE_SHARE), so that pulls get the rest."
            )
