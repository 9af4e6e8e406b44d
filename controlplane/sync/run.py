"""One run of sync over one artifact: what the upstream has, compared with what is held."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, select, update

from clients.oci.errors import UpstreamError
from clients.oci.registry import Registry
from controlplane.catalog import held, reach, tagging
from controlplane.catalog.policy import SyncPolicy
from controlplane.model.artifact_tables import Artifact
from controlplane.model.database import Database
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync.asking import Asking
from controlplane.sync.ended import RunEnded
from controlplane.sync.filters import TagFilter, subject_of
from controlplane.sync.hosts import Hosts
from controlplane.sync.referrers import ReferrerWalk
from controlplane.sync.removal import Removal
from controlplane.sync.tags import TagWork
from controlplane.sync.walk import Children, Walk
from controlplane.sync.writer import Writer
from penstock.v1 import artifact_pb2

# Names of that many tags take some 25 MB.
MOST_TAGS: Final = 250_000
REFERRERS_INTERVAL: Final = timedelta(hours=6)
# Seconds between two reports of progress, and at most until a tag that was fetched is served.
_REPORT: Final = 1.0
# Seconds for a run that nothing else bounds.
_LONGEST: Final = 3600.0


class Run:
    """Lists the tags, asks for the digest of each, and fetches only manifests that are not held.

    What the upstream no longer lists is removed as the artifact's policy says, by runs that listed all and
    got most of it: a tag that always fails must not keep all others for ever. Referrers are asked for of what
    is new, to whichever run, and of all tags once in a `referrers_interval`. `seconds` is the time that the
    run has: it waits no longer for an upstream that asks for fewer requests.
    """

    def __init__(
        self,
        database: Database,
        registry: Registry,
        artifact: Artifact,
        writer: Writer,
        *,
        hosts: Hosts | None = None,
        seconds: float = _LONGEST,
        referrers_interval: timedelta = REFERRERS_INTERVAL,
    ) -> None:
        self._database = database
        self._registry = registry
        self._artifact = artifact
        self._artifact_id = saved_id(artifact)
        self._policy = SyncPolicy.of(artifact.sync_policy)
        self._writer = writer
        self._tally = writer.tally
        self._hosts = hosts or Hosts()
        self._seconds = seconds
        self._referrers_interval = referrers_interval
        self._done = asyncio.Event()

    async def execute(self) -> None:
        """Run to the end; what was learned last is left in the writer.

        Raises UpstreamError where the tags cannot be listed, RunEnded where it does not go on, and what
        the writer raises.
        """
        async with self._database.read() as session:
            job = (await session.exec(select(SyncJob).where(SyncJob.id == self._writer.job_id))).one()
            incomplete = await reach.incomplete(session, self._artifact_id, self._policy.platforms)
            empty = await held.nothing(session, self._artifact_id)
        host = self._artifact.upstream.partition("/")[0]
        sparing = job.trigger == artifact_pb2.SyncJob.SCHEDULE
        account = await self._registry.account()
        asking = Asking(
            self._registry, account, self._hosts, self._tally, seconds=self._seconds, sparing=sparing
        )
        walk = Walk(
            asking, host, self._children, self._writer.add_manifest, self._policy.platforms, empty=empty
        )
        work = TagWork(self._database, self._artifact_id, asking, walk, self._writer, incomplete)
        try:
            await self._reporting(lambda: self._sync(asking, walk, work, force=job.force_removals))
        finally:
            await walk.stop()

    async def _reporting(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do the work, and write what it learned once a second."""
        problem: Exception | None = None
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._report())
                try:
                    await work()
                except (UpstreamError, RunEnded) as error:
                    # The report is left to end by itself: what it writes is counted once.
                    problem = error
                finally:
                    self._done.set()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        if problem is not None:
            raise problem

    async def _report(self) -> None:
        while not self._done.is_set():
            await self._writer.flush()
            with suppress(TimeoutError):
                async with asyncio.timeout(_REPORT):
                    await self._done.wait()

    async def _sync(self, asking: Asking, walk: Walk, work: TagWork, *, force: bool) -> None:
        started = self._writer.now()
        listed = await self._list(asking)
        selection = TagFilter.of(self._policy).select(listed)
        self._tally.tags_total = len(listed)
        self._tally.skip(len(listed) - len(selection.tags) - len(selection.following))
        await work.sync(selection.tags)
        await self._writer.flush()
        followed = await self._follow(work, selection.following)
        seen = await self._bring_referrers(asking, walk, started)
        await self._writer.flush()
        removal = Removal(self._database, self._artifact_id, self._writer, listed=started)
        comparison = await removal.compare(set(listed), {*selection.tags, *followed})
        await removal.note(comparison)
        if not self._tally.tags_failed:
            seen["tags_seen_time"] = started
        if comparison.missing and (force or not self._tally.mostly_failed) and await self._may_remove():
            await removal.remove(comparison, force=force)
        await self._conclude(seen)

    async def _list(self, asking: Asking) -> list[str]:
        names: list[str] = []
        async for page in asking.tag_pages():
            names += page
            if len(names) > MOST_TAGS:
                raise RunEnded(
                    f"The repository has more than {MOST_TAGS} tags: too many to sync, but all can be pulled."
                )
        return names

    async def _follow(self, work: TagWork, names: list[str]) -> list[str]:
        """Sync those of the tags that refer to something held; gives them."""
        followed: list[str] = []
        for start in range(0, len(names), held.BATCH):
            subjects = {name: subject_of(name) for name in names[start : start + held.BATCH]}
            present = await self._children(set(subjects.values()))
            wanted = [name for name, subject in subjects.items() if subject in present]
            self._tally.skip(len(subjects) - len(wanted))
            await work.sync(wanted)
            followed += wanted
        return followed

    async def _bring_referrers(
        self, asking: Asking, walk: Walk, started: datetime
    ) -> dict[str, datetime | None]:
        """Bring referrers of what is new, first, and of all that is tagged where that is due.

        What is new includes what runs before this one did not come to. Gives what to write at the artifact.
        """
        last = self._artifact.referrers_seen_time
        if last is None:
            await self._have_all_due(started)
        # A time to come is of a clock that was wrong.
        due = last is not None and abs(self._writer.now() - last) >= self._referrers_interval
        referrers = ReferrerWalk(asking, walk, self._children)
        try:
            await self._bring_referrers_of_new(referrers)
            if due:
                async for page in held.tagged_digests(self._database, self._artifact_id, referrers_due=False):
                    await referrers.bring(page)
        except (UpstreamError, RunEnded) as error:
            self._tally.reserve(f"Not all referrers (signatures, SBOMs) could be asked for: {error}")
            return {}
        return {"referrers_seen_time": started} if due else {}

    async def _have_all_due(self, started: datetime) -> None:
        """Note at each tag what is said at the artifact, which never had all asked for.

        So it was said before it was noted at tags, and still is by replicas of a version before that.
        """
        async with self._writer.transaction() as session:
            await tagging.have_referrers_due(session, self._artifact_id)
            this = col(Artifact.id) == self._artifact_id
            await session.exec(update(Artifact).where(this).values(referrers_seen_time=started))

    async def _bring_referrers_of_new(self, referrers: ReferrerWalk) -> None:
        """Bring those that no run has asked for, noted page by page: the next run goes on from there."""
        async for page in held.tagged_digests(self._database, self._artifact_id, referrers_due=True):
            await referrers.bring(page)
            await self._writer.flush()
            async with self._writer.transaction() as session:
                await tagging.note_referrers(session, self._artifact_id, page)

    async def _may_remove(self) -> bool:
        """Ask the policy as it is now: what is removed by one that was changed meanwhile is lost for good."""
        async with self._database.read() as session:
            found = await session.exec(select(Artifact.sync_policy).where(Artifact.id == self._artifact_id))
        return any(not SyncPolicy.of(kept).keep_deleted_tags for kept in found)

    async def _children(self, digests: Collection[str]) -> Mapping[str, Children]:
        async with self._database.read() as session:
            return await held.children(session, self._artifact_id, digests, self._policy.platforms)

    async def _conclude(self, seen: dict[str, datetime | None]) -> None:
        """Write at the artifact what the run has seen, and how much is held now."""
        changed = self._tally.manifests_fetched or self._tally.tags_removed
        if not seen and not changed:
            return
        size: dict[str, int] = {}
        if changed:
            # Seconds, for a large artifact: others write meanwhile.
            async with self._database.read() as session:
                size = {"size_bytes": await reach.size(session, self._artifact_id)}
        async with self._writer.transaction() as session:
            await session.exec(
                update(Artifact).where(col(Artifact.id) == self._artifact_id).values(**seen, **size)
            )
