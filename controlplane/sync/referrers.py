"""Brings what refers to held manifests: signatures, SBOMs, attestations."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamDenied, UpstreamError, UpstreamInvalid, UpstreamNotFound
from controlplane.sync.asking import Asking
from controlplane.sync.walk import Children, Walk

_LOG = logging.getLogger(__name__)

# Subjects that are asked about at once.
_PARALLEL: Final = 8
# A signature of an SBOM of an image makes two.
_DEPTH: Final = 3
# Answers in a row that say nothing: the registry does not have the API, though it does not say so.
_PATIENCE: Final = 8


class ReferrerWalk:
    """Asks the referrers API of an upstream about manifests, and fetches what is not held.

    Registries without that API keep referrers under tags, which their tag listing names: nothing is asked
    of these. A subject that has more referrers than are read, or that is refused, is left out. `held` says
    which of some digests are held.
    """

    def __init__(
        self, asking: Asking, walk: Walk, held: Callable[[Collection[str]], Awaitable[Mapping[str, Children]]]
    ) -> None:
        self._asking = asking
        self._walk = walk
        self._held = held
        self._available = True
        self._refused_in_a_row = 0

    async def bring(self, subjects: Iterable[str]) -> None:
        """Bring the referrers of all these digests, and theirs; raises UpstreamError, and RunEnded."""
        waiting = iter(subjects)

        async def work() -> None:
            for subject in waiting:
                if not self._available:
                    return
                await self._bring(subject)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_PARALLEL):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _bring(self, subject: str) -> None:
        level = [subject]
        for _ in range(_DEPTH):
            found = [digest for each in level for digest in await self._referrers(each)]
            if not found:
                return
            held = await self._held(found)
            level = [digest for digest in dict.fromkeys(found) if digest not in held]
            for digest in list(level):
                try:
                    await self._walk.ensure(digest)
                except (UpstreamNotFound, UpstreamInvalid) as error:
                    # It is listed, and cannot be had or served; the subject is none the worse for it.
                    _LOG.info("A referrer of %s is left out: %s", subject, error)
                    level.remove(digest)
            if not level:
                return

    async def _referrers(self, subject: str) -> list[str]:
        if not self._available:
            return []
        try:
            listed = await self._asking.referrers(Digest.parse(subject))
        except (UpstreamDenied, UpstreamInvalid) as error:
            _LOG.info("Referrers of %s are not brought: %s", subject, error)
            self._refused_in_a_row += 1
            if self._refused_in_a_row >= _PATIENCE:
                self._available = False
            return []
        except UpstreamError:
            self._available = False
            raise
        if listed is None:
            self._available = False
            return []
        self._refused_in_a_row = 0
        return [str(descriptor.digest) for descriptor in listed]
