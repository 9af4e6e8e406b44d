"""The upstream of one run, asked in turn with the other runs and within the upstream's limits."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar

from clients.oci.descriptor import Descriptor
from clients.oci.digest import Digest
from clients.oci.errors import UpstreamRateLimited
from clients.oci.manifest import Manifest
from clients.oci.registry import Registry
from clients.oci.request import Account
from controlplane.sync.hosts import Hosts
from controlplane.sync.tally import Tally

_Answer = TypeVar("_Answer")

# How often one question is asked while the host says each time when to ask again.
_ATTEMPTS: Final = 5


class Asking:
    """Asks a registry as `Registry` does, and counts each request in the tally of the run.

    A host that says when to ask again is asked again then, where that is before `deadline`. `sparing` runs
    leave a part of the quota to others. All methods raise UpstreamError, and RunEnded as `Hosts.turn`.
    """

    def __init__(
        self,
        registry: Registry,
        account: Account,
        hosts: Hosts,
        tally: Tally,
        *,
        seconds: float,
        sparing: bool,
    ) -> None:
        self._registry = registry.counted(tally.ask)
        self._account = account
        self._hosts = hosts
        self._deadline = hosts.deadline(seconds)
        self._sparing = sparing

    async def tag_pages(self) -> AsyncIterator[list[str]]:
        """Yield the tags, page by page; a listing that ends without an error is whole."""
        pages = self._registry.tag_pages()
        while (page := await self._ask(lambda: anext(pages, None))) is not None:
            yield page

    async def head_manifest(self, reference: str) -> Descriptor | None:
        """See Registry."""
        return await self._ask(lambda: self._registry.head_manifest(reference))

    async def get_manifest(self, reference: str) -> Manifest:
        """See Registry."""
        return await self._ask(lambda: self._registry.get_manifest(reference))

    async def referrers(self, subject: Digest) -> list[Descriptor] | None:
        """See Registry."""
        return await self._ask(lambda: self._registry.referrers(subject))

    async def _ask(self, question: Callable[[], Awaitable[_Answer]]) -> _Answer:
        for _ in range(_ATTEMPTS - 1):
            try:
                async with self._turn():
                    return await question()
            except UpstreamRateLimited as error:
                if error.retry_after is None:
                    raise
        async with self._turn():
            return await question()

    def _turn(self) -> AbstractAsyncContextManager[None]:
        return self._hosts.turn(self._account, deadline=self._deadline, sparing=self._sparing)
