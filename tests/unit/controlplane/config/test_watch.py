"""What nodes that follow the configuration get to see, and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from sqlmodel import delete, update

from controlplane.config.watch import ConfigFeed
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.tables import Organization, Singleton
from penstock.v1 import node_pb2
from tests.fakes.rows import add_artifact, add_organization, open_database

# More than any of the feed's own delays; tests that pass never wait for it.
_PATIENCE = 10.0


@asynccontextmanager
async def _feed(database: Database, *, heartbeat: float = 60.0) -> AsyncIterator[ConfigFeed]:
    feed = ConfigFeed(database, heartbeat=heartbeat)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.stop()


async def _next(responses: AsyncIterator[node_pb2.WatchConfigResponse]) -> node_pb2.WatchConfigResponse:
    async with asyncio.timeout(_PATIENCE):
        return await anext(responses)


async def test_a_watch_begins_with_a_snapshot_and_goes_on_with_changes(database: Database) -> None:
    """A node gets everything, then an artifact that is created, and nothing else."""
    acme = await add_organization(database, "acme")
    async with _feed(database) as feed, aclosing(feed.watch()) as responses:
        first = await _next(responses)
        assert [entry.organization_id for entry in first.snapshot.organizations] == ["acme"]

        artifact = await add_artifact(database, "docker.io/library/redis", organization=acme)
        second = await _next(responses)

        assert second.change.from_revision == first.snapshot.revision
        assert second.change.to_revision > first.snapshot.revision
        assert [entry.uid for entry in second.change.artifacts] == [artifact.uid]
        assert not second.change.organizations


async def test_a_slow_watcher_gets_many_changes_as_one(database: Database) -> None:
    """A node that does not read does not make the control plane queue what it missed."""
    async with _feed(database) as feed, aclosing(feed.watch()) as slow, aclosing(feed.watch()) as quick:
        first = await _next(slow)
        await _next(quick)
        added = {(await add_organization(database)).uid for _ in range(3)}
        seen: set[str] = set()
        while seen != added:
            seen |= {entry.uid for entry in (await _next(quick)).change.organizations}

        caught_up = (await _next(slow)).change

    assert caught_up.from_revision == first.snapshot.revision
    assert {entry.uid for entry in caught_up.organizations} == added


async def test_a_change_by_another_process_is_noticed(tmp_path: Path) -> None:
    """Two replicas on one database: nodes of the one see what was changed through the other."""
    async with (
        open_database(tmp_path) as mine,
        open_database(tmp_path) as other,
        _feed(mine) as feed,
        aclosing(feed.watch()) as responses,
    ):
        await _next(responses)
        organization = await add_organization(other)
        assert [entry.uid for entry in (await _next(responses)).change.organizations] == [organization.uid]


async def test_a_revision_that_goes_back_comes_as_a_snapshot(database: Database) -> None:
    """The database was put back to a backup: nodes refuse a change that leads to an older revision."""
    await add_organization(database, "acme")
    async with _feed(database) as feed, aclosing(feed.watch()) as responses:
        first = (await _next(responses)).snapshot
        async with database.write() as session:
            await session.exec(delete(Organization))
            await session.exec(update(Singleton).values(config_revision=first.revision - 1))
        back = (await _next(responses)).snapshot
    assert (back.revision, list(back.organizations)) == (first.revision - 1, [])


async def test_silence_is_filled_with_heartbeats(database: Database) -> None:
    """A node can tell that nothing changed from a stream that broke."""
    async with _feed(database, heartbeat=0.6) as feed, aclosing(feed.watch()) as responses:
        first = await _next(responses)
        assert (await _next(responses)).heartbeat.revision == first.snapshot.revision


async def test_no_heartbeat_while_the_database_is_away(database: Database) -> None:
    """Nodes are not told that nothing changed by somebody who cannot know."""
    async with _feed(database, heartbeat=0.6) as feed, aclosing(feed.watch()) as responses:
        await _next(responses)
        away = _Away(database)
        feed._database = away  # type: ignore[assignment]  # takes the database away under the feed
        async with asyncio.timeout(_PATIENCE):
            await away.asked_again.wait()
        waiting = asyncio.ensure_future(anext(responses))
        await asyncio.sleep(1.5)
        assert not waiting.done()

        feed._database = database
        async with asyncio.timeout(_PATIENCE):
            assert (await waiting).HasField("heartbeat")


async def test_a_watch_without_a_configuration_is_refused(database: Database) -> None:
    """A node that comes while the database was never read is sent away, and not left hanging."""
    async with _feed(_Away(database), heartbeat=0.2) as feed, aclosing(feed.watch()) as responses:  # type: ignore[arg-type]  # stands in for a database that is away
        with pytest.raises(DatabaseUnavailable):
            await _next(responses)


async def test_stop_ends_every_watch(database: Database) -> None:
    """A control plane that stops does not wait for its nodes to leave."""
    async with _feed(database) as feed, aclosing(feed.watch()) as responses:
        await _next(responses)
        waiting = asyncio.ensure_future(anext(responses, None))
        await asyncio.sleep(0)
        await feed.stop()
        async with asyncio.timeout(_PATIENCE):
            assert await waiting is None


class _Away:
    """A database that does not answer."""

    def __init__(self, database: Database) -> None:
        self.config_changed = database.config_changed
        self.asked_again = asyncio.Event()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        self.asked_again.set()
        raise DatabaseUnavailable("away")
        yield
