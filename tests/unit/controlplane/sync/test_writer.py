"""That nothing is written by half, whatever the database does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlmodel import select

from clients.oci.manifest import Manifest
from controlplane.model.artifact_tables import Artifact
from controlplane.model.artifact_tables import Manifest as Row
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.saved import saved_id
from controlplane.model.sync_tables import SyncJob
from controlplane.sync import jobs
from controlplane.sync.writer import Writer
from penstock.v1 import artifact_pb2
from tests.fakes.images import make_image
from tests.fakes.rows import NOW, add_artifact, read_artifact, read_tags


class _Failing:
    """A database whose next write transaction fails at its end."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.fails = False
        self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Any]:
        self.writes += 1
        async with self._database.write() as session:
            yield session
            if self.fails:
                self.fails = False
                raise DatabaseUnavailable("away")


@pytest.fixture
async def artifact(database: Database) -> Artifact:
    """An artifact that holds nothing."""
    return await add_artifact(database, "example.com/app")


@pytest.fixture
def failing(database: Database) -> _Failing:
    """The database, for the writer."""
    return _Failing(database)


@pytest.fixture
async def job(database: Database, artifact: Artifact) -> SyncJob:
    """A job that waits."""
    async with database.write() as session:
        return await jobs.join_or_create(session, saved_id(artifact), artifact_pb2.SyncJob.MANUAL, "", NOW)


@pytest.fixture
def writer(failing: _Failing, artifact: Artifact, job: SyncJob) -> Writer:
    """What is tested."""
    return Writer(failing, artifact, saved_id(job), now=lambda: NOW, written=lambda: None)  # type: ignore[arg-type]  # stands in for the database


def _manifest(seed: int) -> Manifest:
    image = make_image(seed=seed)
    return Manifest.parse(image.manifest, image.media_type)


async def _held(database: Database) -> set[str]:
    async with database.read() as session:
        return set(await session.exec(select(Row.digest)))


async def _progress(database: Database) -> tuple[int, int, int]:
    async with database.read() as session:
        job = (await session.exec(select(SyncJob))).one()
    return job.tags_done, job.tags_new, job.manifests_fetched


async def test_a_write_that_failed_is_made_up_for(
    database: Database, failing: _Failing, writer: Writer, artifact: Artifact
) -> None:
    """A tag is never there without its manifest, and nothing is counted twice."""
    first, second = _manifest(1), _manifest(2)
    await writer.add_manifest(first)
    writer.set_tag("one", str(first.digest), NOW)
    failing.fails = True
    with pytest.raises(DatabaseUnavailable):
        await writer.flush()
    assert await read_tags(database, artifact) == {}

    await writer.add_manifest(second)
    writer.set_tag("two", str(second.digest), NOW)
    await writer.flush()

    assert await read_tags(database, artifact) == {"one": str(first.digest), "two": str(second.digest)}
    assert await _held(database) == {str(first.digest), str(second.digest)}
    assert (writer.tally.tags_new, writer.tally.tags_done) == (2, 2)
    assert await _progress(database) == (2, 2, 2)


async def test_nothing_new_is_not_written(database: Database, failing: _Failing, writer: Writer) -> None:
    """A run that waits for its upstream leaves the database alone."""
    writer.tally.tags_total = 5
    await writer.flush()
    await writer.flush()
    await writer.flush()
    assert failing.writes == 1


async def test_much_is_written_at_once(database: Database, failing: _Failing, writer: Writer) -> None:
    """Manifests go out before they fill the memory, few transactions for many of them."""
    for number in range(1200):
        await writer.add_manifest(_manifest(number))
    assert 1 <= failing.writes <= 3
    assert len(await _held(database)) >= 1000
    await writer.flush()
    assert await _progress(database) == (0, 0, 1200)


async def test_progress_counts_what_others_did_meanwhile(
    database: Database, writer: Writer, artifact: Artifact
) -> None:
    """Unchanged tags, which are written nowhere, are in the counts of the job."""
    for _ in range(3):
        writer.tally.keep()
    writer.tally.fail("bad", "It is broken.")
    manifest = _manifest(1)
    await writer.add_manifest(manifest)
    writer.set_tag("new", str(manifest.digest), NOW)

    await writer.flush()

    assert await _progress(database) == (5, 1, 1)
    assert (await read_artifact(database, artifact)).content_revision == 2
