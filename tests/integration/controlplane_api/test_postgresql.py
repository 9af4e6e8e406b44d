"""The same control plane on PostgreSQL, a real one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlmodel import col, func, select, update

from controlplane.model import engine, migrate
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.schema import METADATA
from controlplane.model.tables import Node, Organization, Singleton
from controlplane.settings import Settings
from penstock.v1 import artifact_pb2 as pb
from penstock.v1 import organization_pb2
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.integration.conftest import Copies
from tests.servers.control_plane import Plane, on_database, refused
from tests.servers.postgres import Postgres

pytestmark = pytest.mark.real

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """Run an empty server."""
    server = Postgres()
    try:
        yield server.start()
    finally:
        server.remove()


@pytest.fixture
async def plane(postgres: Postgres, settings: Settings) -> AsyncIterator[Plane]:
    """Run a fresh control plane on it."""
    async with on_database(postgres.url, settings) as plane:
        yield plane


def _differences(connection: Connection) -> list[object]:
    # The months of events are tables as well, which come and go.
    options = {"include_name": lambda name, *_: not (name or "").startswith("pull_event_")}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), METADATA))


async def test_migrations_and_tables_agree(postgres: Postgres) -> None:
    """Also here Alembic finds nothing to add, and several processes may migrate at once."""
    opened = await asyncio.gather(*(Database.open(postgres.url) for _ in range(3)))
    for database in opened:
        await database.close()
    connections = engine.create(make_url(postgres.url))
    await migrate.to_head(connections)
    async with connections.connect() as connection:
        assert await connection.run_sync(_differences) == []
    await connections.dispose()


async def test_a_migration_may_take_longer_than_a_statement(
    postgres_copies: Copies, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a replica refused that waits for another's; transactions after it have their limit."""
    url = await postgres_copies.url()
    other = await Database.open(url)
    monkeypatch.setattr(engine, "_STATEMENT", 0.2)
    async with other.write() as session:
        await session.exec(select(func.pg_advisory_xact_lock(migrate.LOCK)))
        opening = asyncio.create_task(Database.open(url))
        await asyncio.sleep(0.5)
    opened = await opening
    with pytest.raises(DatabaseUnavailable):
        async with opened.read() as session:
            await session.exec(select(func.pg_sleep(2)))
    await opened.close()
    await other.close()


async def test_transactions(postgres: Postgres) -> None:
    """Times are UTC, reads see one moment and cannot write, raised revisions are not lost."""
    database = await Database.open(postgres.url)
    async with database.write() as session:
        session.add(Node(uid="u", node_id="n", sha256=b"1" * 32, create_time=NOW))
    async with database.read() as reading:
        assert (await reading.exec(select(Node))).one().create_time == NOW
        async with database.write() as writing:
            await database.raise_revision(writing)
        assert await database.revision(reading) == 1

    async def raise_once() -> None:
        async with database.write() as session:
            await database.raise_revision(session)

    await asyncio.gather(*(raise_once() for _ in range(20)))
    async with database.read() as session:
        assert await database.revision(session) == 22

    async def write_in_a_read() -> None:
        async with database.read() as session:
            session.add(Singleton(id=2))

    with pytest.raises(Exception, match="read-only transaction"):
        await write_in_a_read()
    await database.close()


async def test_the_way_of_an_artifact(plane: Plane) -> None:
    """Create with check, sync, list, update by etag, only validate, delete."""
    await plane.organization("acme")
    member = await plane.member("acme", "admin")
    api = member.artifacts
    async with FakeRegistry() as registry:
        registry.add(make_image(), "team/app", ["1.0", "2.0"])
        request = pb.CreateArtifactRequest(
            parent="organizations/acme",
            artifact_id="app",
            artifact=pb.Artifact(upstream=f"{registry.host}/team/app", plain_http=True),
        )
        request.validate_only = True
        assert not (await api.CreateArtifact(request)).uid
        request.validate_only = False
        created = await api.CreateArtifact(request)
        error = await refused(api.CreateArtifact(request))
        assert error.code.name == "ALREADY_EXISTS"
        jobs = await api.ListSyncJobs(pb.ListSyncJobsRequest(parent=created.name))
        states = api.WatchSyncJob(pb.WatchSyncJobRequest(name=jobs.sync_jobs[0].name))
        assert [job.state async for job in states][-1] == pb.SyncJob.SUCCEEDED
    tags = await api.ListTags(pb.ListTagsRequest(parent=created.name, page_size=1))
    assert [tag.name.rpartition("/")[2] for tag in tags.tags] == ["1.0"]
    assert tags.next_page_token
    changed = pb.Artifact(name=created.name, display_name="App", etag=created.etag)
    updated = await api.UpdateArtifact(pb.UpdateArtifactRequest(artifact=changed))
    assert updated.tag_count == 2
    error = await refused(api.UpdateArtifact(pb.UpdateArtifactRequest(artifact=changed)))
    assert error.reason == "ETAG_MISMATCH"
    await plane.root.organizations.DeleteOrganization(
        organization_pb2.DeleteOrganizationRequest(name="organizations/acme", force=True)
    )
    error = await refused(api.GetArtifact(pb.GetArtifactRequest(name=created.name)))
    assert error.code.name == "UNAUTHENTICATED"


async def test_a_server_that_goes_and_comes_back(plane: Plane, postgres: Postgres) -> None:
    """Calls are UNAVAILABLE meanwhile, and work again without a restart of the control plane."""
    request = organization_pb2.ListOrganizationsRequest()
    await plane.root.organizations.ListOrganizations(request)
    postgres.stop()
    error = await refused(plane.root.organizations.ListOrganizations(request))
    assert (error.code.name, error.reason) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
    postgres.start()
    await plane.root.organizations.ListOrganizations(request)


async def test_a_deadlock_is_something_to_try_again(postgres: Postgres) -> None:
    """One of the two is told so, the other one ends well."""
    database = await Database.open(postgres.url)
    async with database.write() as session:
        session.add_all(
            [Organization(slug=slug, uid=slug, create_time=NOW, update_time=NOW) for slug in ("one", "two")]
        )
    begun = asyncio.Barrier(2)

    async def change(first: str, second: str) -> None:
        async with database.write() as session:
            for slug in (first, second):
                statement = update(Organization).where(col(Organization.slug) == slug)
                await session.exec(statement.values(display_name=first))
                if slug == first:
                    await begun.wait()

    ended = await asyncio.gather(change("one", "two"), change("two", "one"), return_exceptions=True)
    assert [type(each) for each in ended if each is not None] == [DatabaseUnavailable]
    await database.close()


async def test_a_statement_that_takes_too_long(
    postgres_copies: Copies, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller is told to come again, and what it wanted was not done; the next one finds all in order."""
    monkeypatch.setattr(engine, "_STATEMENT", 1)
    url = await postgres_copies.url()
    async with on_database(url, settings) as plane:
        await plane.organization("acme")
        request = organization_pb2.UpdateOrganizationRequest(
            organization=organization_pb2.Organization(name="organizations/acme", display_name="Acme")
        )
        other = await Database.open(url)
        async with other.write() as session:
            await session.exec(select(Organization).with_for_update())
            error = await refused(plane.root.organizations.UpdateOrganization(request))
        assert (error.code.name, error.reason) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
        got = await plane.root.organizations.GetOrganization(
            organization_pb2.GetOrganizationRequest(name="organizations/acme")
        )
        assert got.display_name == ""
        assert (await plane.root.organizations.UpdateOrganization(request)).display_name == "Acme"
        await other.close()


async def test_a_server_that_is_stopped_under_an_open_database(postgres: Postgres) -> None:
    """The error is the database's own, whatever the driver raised."""
    database = await Database.open(postgres.url)
    async with database.read() as session:
        await database.revision(session)
    postgres.stop()
    for opening in (database.read, database.write):
        with pytest.raises(DatabaseUnavailable):
            async with opening():
                pass
    await database.close()
