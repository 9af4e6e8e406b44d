"""One run of sync over one artifact: what the upstream has, compared with what is held."""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Final

from clients.oci.errors import UpstreamDenied, UpstreamError, UpstreamRateLimited, UpstreamUnavailable
from clients.oci.registry import Registry
from controlplane.catalog import held, reach
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.tables import Artifact
from controlplane.sync.walk import Children, Walk
from controlplane.sync.writer import Writer

# Tags that one run asks for at once.
_PARALLEL: Final = 8
# Tags compared with the tables in one query.
_CHUNK: Final = 500
# Names of that many tags take some 25 MB.
MOST_TAGS: Final = 250_000
# Seconds between two reports of progress, and at most until a tag that was fetched is served.
_REPORT: Final = 1.0
# Tags in a row that the upstream did not answer for: it will not answer for the rest either.
_PATIENCE: Final = 10


class RunEnded(Exception):
    """A run that does not go on, with tags left; `str()` is one sentence that says why."""


class Run:
    """Lists the tags, asks for the digest of each, and fetches only manifests that are not held.

    A tag that fails is counted and does not stop the others. Tags that the upstream no longer lists
    stay: an upstream that lists too little must not take anything away from those who pull.
    """

    def __init__(self, database: Database, registry: Registry, artifact: Artifact, writer: Writer) -> None:
        self._database = database
        self._registry = registry
        self._artifact_id = saved_id(artifact)
        self._writer = writer
        self._tally = writer.tally
        self._walk = Walk(registry, artifact.upstream.partition("/")[0], self._children, writer.add_manifest)
        self._names: Iterator[str] = iter(())
        self._next_tags: list[tuple[str, str | None]] = []
        self._turn = asyncio.Lock()
        self._done = asyncio.Event()
        self._incomplete: set[str] = set()
        self._failed_in_a_row = 0
        self._spent: UpstreamError | None = None

    async def execute(self) -> None:
        """Run to the end; what was learned last is left in the writer.

        Raises UpstreamError where the tags cannot be listed, RunEnded where it does not go on, and what
        the writer raises.
        """
        names = await self._list()
        self._tally.tags_total = len(names)
        self._names = iter(names)
        async with self._database.read() as session:
            self._incomplete = await reach.incomplete(session, self._artifact_id)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._report())
                await asyncio.wait([group.create_task(self._work()) for _ in range(_PARALLEL)])
                self._done.set()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        finally:
            await self._walk.stop()
        if self._spent is not None:
            raise RunEnded(str(self._spent))

    async def _list(self) -> list[str]:
        names: list[str] = []
        async for page in self._registry.tag_pages():
            names += page
            if len(names) > MOST_TAGS:
                raise RunEnded(
                    f"The repository has more than {MOST_TAGS} tags: too many to sync, but all can be pulled."
                )
        return names

    async def _report(self) -> None:
        while not self._done.is_set():
            await self._writer.flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(_REPORT):
                    await self._done.wait()

    async def _work(self) -> None:
        while self._spent is None and (following := await self._following()) is not None:
            tag, before = following
            try:
                await self._sync(tag, before)
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
        descriptor = await self._registry.head_manifest(tag)
        if descriptor is not None:
            digest = str(descriptor.digest)
        else:
            manifest = await self._registry.get_manifest(tag)
            digest = str(manifest.digest)
            if digest != before:
                await self._walk.add(manifest)
        if digest == before and digest not in self._incomplete:
            self._tally.keep()
            return
        await self._walk.ensure(digest)
        self._writer.set_tag(tag, digest)

    def _lose_patience(self, error: UpstreamError) -> None:
        if isinstance(error, UpstreamUnavailable | UpstreamDenied):
            self._failed_in_a_row += 1
        if self._failed_in_a_row >= _PATIENCE or isinstance(error, UpstreamRateLimited):
            self._spent = error

    async def _children(self, digests: Collection[str]) -> Mapping[str, Children]:
        async with self._database.read() as session:
            return await held.children(session, self._artifact_id, digests)
