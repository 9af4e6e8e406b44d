"""The tags of one run: which digest each has, and what is not held of it."""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from clients.oci.errors import UpstreamDenied, UpstreamError, UpstreamRateLimited, UpstreamUnavailable
from controlplane.catalog import held
from controlplane.model.database import Database
from controlplane.sync.asking import Asking
from controlplane.sync.ended import RunEnded
from controlplane.sync.walk import Walk
from controlplane.sync.writer import Writer

# Tags that one run asks for at once, if the host takes so many requests.
_PARALLEL: Final = 16
# Tags compared with the tables in one query.
_CHUNK: Final = 500
# Tags in a row that the upstream did not answer for: it will not answer for the rest either.
_PATIENCE: Final = 10


class TagWork:
    """Asks for the digest of each tag, fetches only manifests that are not held, and gives it to the writer.

    `incomplete` are digests of tags which are not held, or lead to manifests which are not. A tag that fails
    is counted and does not stop the others.
    """

    def __init__(
        self,
        database: Database,
        artifact_id: int,
        asking: Asking,
        walk: Walk,
        writer: Writer,
        incomplete: set[str],
    ) -> None:
        self._database = database
        self._artifact_id = artifact_id
        self._asking = asking
        self._walk = walk
        self._writer = writer
        self._tally = writer.tally
        self._incomplete = incomplete
        self._names: Iterator[str] = iter(())
        self._next_tags: list[tuple[str, str | None]] = []
        self._turn = asyncio.Lock()
        self._failed_in_a_row = 0
        self._spent: Exception | None = None

    async def sync(self, names: Iterable[str]) -> None:
        """Deal with these tags; raises RunEnded where the upstream is not to be asked for the rest."""
        self._names = iter(names)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_PARALLEL):
                    group.create_task(self._work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        if self._spent is not None:
            raise RunEnded(str(self._spent)) from self._spent

    async def _work(self) -> None:
        while self._spent is None and (following := await self._following()) is not None:
            tag, before = following
            try:
                await self._sync(tag, before)
            except RunEnded as ended:
                self._spent = ended
            except UpstreamError as error:
                self._tally.fail(tag, str(error))
                self._lose_patience(error)
            else:
                self._failed_in_a_row = 0

    async def _following(self) -> tuple[str, str | None] | None:
        """Give the next tag, with the digest that is held for it."""
        async with self._turn:
            if not self._next_tags:
                names = list(islice(self._names, _CHUNK))
                async with self._database.read() as session:
                    digests = await held.tag_digests(session, self._artifact_id, names)
                self._next_tags = [(name, digests.get(name)) for name in reversed(names)]
            return self._next_tags.pop() if self._next_tags else None

    async def _sync(self, tag: str, before: str | None) -> None:
        # Before the question: a pull may learn something newer at any time after it.
        asked = self._writer.now()
        descriptor = await self._asking.head_manifest(tag)
        if descriptor is not None:
            digest = str(descriptor.digest)
        else:
            manifest = await self._asking.get_manifest(tag)
            digest = str(manifest.digest)
            if digest != before:
                await self._walk.add(manifest)
        if digest == before and digest not in self._incomplete:
            self._tally.keep()
            return
        await self._walk.ensure(digest)
        self._writer.set_tag(tag, digest, asked)

    def _lose_patience(self, error: UpstreamError) -> None:
        if isinstance(error, UpstreamUnavailable | UpstreamDenied):
            self._failed_in_a_row += 1
        if self._failed_in_a_row >= _PATIENCE or isinstance(error, UpstreamRateLimited):
            self._spent = error
