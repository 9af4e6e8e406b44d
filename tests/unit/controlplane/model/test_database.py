"""Opening the database, its transactions, and word of changes."""

import asyncio
import socket
import sqlite3
import threading
import traceback
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import select

from clients.process.exits import ConfigurationError
from controlplane.model import engine, sqlite
from controlplane.model.artifact_tables import Tag
from controlplane.model.database import Database, DatabaseUnavailable
from controlplane.model.tables import Node, Singleton

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def a_node(name: str = "one", sha256: bytes = b"1" * 32) -> Node:
    """Make a row without a reference to others."""
    return Node(uid=f"uid-{name}", node_id=name, sha256=sha256, create_time=NOW)


def url(directory: Path) -> str:
    """Name the database file of a test."""
    return f"sqlite:///{directory / 'test.db'}"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a fresh database."""
    database = await Database.open(url(tmp_path))
    yield database
    await database.close()


async def test_commits_are_kept_and_times_stay_utc(tmp_path: Path) -> None:
    """What was committed is there after opening again, with timezone-aware times."""
    first = await Database.open(url(tmp_path))
    async with first.write() as session:
        session.add(a_node())
    await first.close()
    again = await Database.open(url(tmp_path))
    async with again.read() as session:
        node = (await session.exec(select(Node))).one()
    await again.close()
    assert (node.node_id, node.create_time) == ("one", NOW)


async def test_an_error_in_a_write_keeps_nothing(database: Database) -> None:
    """A block that raises leaves no trace, neither rows nor a signal."""

    async def fail() -> None:
        async with database.write() as session:
            session.add(a_node())
            await database.raise_revision(session)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    async with database.read() as session:
        assert (await session.exec(select(Node))).all() == []
        assert await database.revision(session) == 1
    assert database.config_changed.count == 0


async def test_a_read_sees_one_moment(database: Database) -> None:
    """What another transaction commits meanwhile does not appear in the middle of a read."""
    async with database.read() as reading:
        before = await database.revision(reading)
        async with database.write() as writing:
            await database.raise_revision(writing)
        assert await database.revision(reading) == before
    async with database.read() as session:
        assert await database.revision(session) == before + 1


async def test_fifty_writers_lose_no_update(database: Database) -> None:
    """Writers that read before they write take turns: no 'locked', no lost update."""

    async def raise_once() -> None:
        async with database.write() as session:
            row = (await session.exec(select(Singleton))).one()
            await asyncio.sleep(0)
            row.config_revision += 1

    await asyncio.gather(*(raise_once() for _ in range(50)))
    async with database.read() as session:
        assert await database.revision(session) == 51


async def test_a_raised_revision_wakes_watchers_after_the_commit(database: Database) -> None:
    """Who is woken reads the new revision, never the old one."""
    seen = database.config_changed.count
    woken = asyncio.create_task(database.config_changed.wait(seen, 30))
    async with database.write() as session:
        new = await database.raise_revision(session)
        assert not woken.done()
    assert await woken == seen + 1
    async with database.read() as session:
        assert await database.revision(session) == new == 2


async def test_a_broken_constraint_is_told_apart(database: Database) -> None:
    """Two nodes of one name are an IntegrityError, not an outage."""
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            session.add_all([a_node(), a_node(sha256=b"2" * 32)])


async def test_foreign_keys_are_kept(database: Database) -> None:
    """A row cannot name an artifact that does not exist."""
    with pytest.raises(IntegrityError):
        async with database.write() as session:
            session.add(Tag(artifact_id=7, name="x", digest="d", create_time=NOW, update_time=NOW))


async def test_ids_are_never_used_again(database: Database) -> None:
    """The next row does not get the id of the one that was deleted."""
    async with database.write() as session:
        session.add(first := a_node())
    async with database.write() as session:
        await session.delete(first)
    async with database.write() as session:
        session.add(second := a_node())
    assert second.id is not None
    assert first.id is not None
    assert second.id > first.id


async def test_a_lost_table_is_unavailable_and_says_no_sql(database: Database, tmp_path: Path) -> None:
    """Trouble of the database itself becomes one error without statements or parameters."""
    with sqlite3.connect(tmp_path / "test.db") as connection:
        connection.execute("DROP TABLE node")
    connection.close()
    with pytest.raises(DatabaseUnavailable, match=r"^The database does not answer\.$"):
        async with database.read() as session:
            await session.exec(select(Node))


async def test_a_failed_write_does_not_tell_what_was_to_be_written(
    database: Database, tmp_path: Path
) -> None:
    """It ends up in logs, with its traceback: hashes of tokens and people's addresses do not."""
    with closing(sqlite3.connect(tmp_path / "test.db")) as connection:
        connection.execute("DROP TABLE node")
    with pytest.raises(DatabaseUnavailable) as caught:
        async with database.write() as session:
            session.add(a_node("someone@example.com", b"h" * 32))
    told = "".join(traceback.format_exception(caught.value))
    assert "INSERT INTO node" in told
    assert "someone@example.com" not in told
    assert "hhhh" not in told


@pytest.mark.parametrize("text", ["", "nonsense", "mysql://localhost/x", "sqlite://", "sqlite:///:memory:"])
async def test_other_urls_are_refused_with_an_example(text: str) -> None:
    """Only SQLite files and PostgreSQL are taken."""
    with pytest.raises(ConfigurationError, match=r"PENSTOCK_DATABASE_URL.*postgresql://"):
        await Database.open(text)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Another file in its place is not touched."""
    (tmp_path / "test.db").write_text("something else entirely, long enough to have a header" * 30)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await Database.open(url(tmp_path))


async def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    """Tables of the same name without Penstock's history are left alone."""
    with sqlite3.connect(tmp_path / "test.db") as connection:
        connection.execute("CREATE TABLE organization (x)")
    connection.close()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await Database.open(url(tmp_path))


async def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    """The sentence names the setting and the place."""
    with pytest.raises(ConfigurationError, match="PENSTOCK_DATABASE_URL"):
        await Database.open(f"sqlite:///{tmp_path}/nowhere/test.db")


async def test_a_file_that_cannot_be_opened_leaves_no_thread(tmp_path: Path) -> None:
    """It would speak to an event loop that is closed by then, with a traceback behind the sentence."""
    before = set(threading.enumerate())
    with pytest.raises(sqlite3.OperationalError):
        await sqlite.connect(tmp_path / "nowhere" / "test.db")
    left = [thread.name for thread in set(threading.enumerate()) - before if "connection" in thread.name]
    assert left == []


async def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A schema that this code does not know ends the start with a sentence."""
    await (await Database.open(url(tmp_path))).close()
    path = tmp_path / "test.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(ConfigurationError, match=r"newer than this version of Penstock.*9999"):
        await Database.open(url(tmp_path))


async def test_a_server_that_is_away_is_unavailable_without_its_password() -> None:
    """The password of a URL is never shown."""
    with pytest.raises(DatabaseUnavailable) as caught:
        await Database.open("postgresql://penstock:hunter2@127.0.0.1:1/penstock")
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1:1" in str(caught.value)


async def test_a_server_that_takes_the_connection_and_says_nothing_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At a start, with what to do; the driver's error has no words."""
    monkeypatch.setattr(engine, "_CONNECT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"postgresql://penstock:secret@127.0.0.1:{silent.getsockname()[1]}/penstock"
        with pytest.raises(DatabaseUnavailable, match=r"does not answer \(it takes too long\): start it"):
            await Database.open(place)
