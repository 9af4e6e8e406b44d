"""The first start, later ones, and what happens when files and database do not belong together."""

import logging
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlmodel import select

from clients.control.token import TokenKind, is_well_formed, new_token, sha256
from clients.process.exits import ConfigurationError
from controlplane.model import bootstrap
from controlplane.model.database import Database
from controlplane.model.tables import AccessToken, Node, User

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Open a fresh database in a directory of its own."""
    (tmp_path / "data").mkdir()
    database = await Database.open(f"sqlite:///{tmp_path / 'data' / 'test.db'}")
    yield database
    await database.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Name the data directory."""
    return tmp_path / "data"


def _database_files(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.glob("test.db*"))


async def _hashes(database: Database) -> tuple[list[bytes], list[bytes]]:
    async with database.read() as session:
        tokens = (await session.exec(select(AccessToken.sha256))).all()
        nodes = (await session.exec(select(Node.sha256))).all()
    return list(tokens), list(nodes)


async def test_first_start_makes_an_administrator_and_a_node(database: Database, directory: Path) -> None:
    """Both tokens are in private files, and the tables know their hashes alone."""
    token = await bootstrap.prepare(database, directory, NOW)
    assert token is not None
    assert is_well_formed(token)
    assert (directory / "admin-token").read_text().strip() == token
    node = (directory / "node-token").read_text().strip()
    assert node.startswith("psn_")
    assert await _hashes(database) == ([sha256(token)], [sha256(node)])
    for name in ("admin-token", "node-token"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert token.encode() not in _database_files(directory)


async def test_later_starts_make_nothing(database: Database, directory: Path) -> None:
    """A second start gives no token, and changes no row."""
    await bootstrap.prepare(database, directory, NOW)
    before = await _hashes(database)
    assert await bootstrap.prepare(database, directory, NOW) is None
    assert await _hashes(database) == before


async def test_a_start_that_died_between_file_and_database_is_repaired(
    database: Database, directory: Path
) -> None:
    """A token that is in its file, and in no table, becomes the administrator's."""
    token = new_token(TokenKind.USER)
    (directory / "admin-token").write_text(f"{token}\n")
    assert await bootstrap.prepare(database, directory, NOW) is None
    assert (await _hashes(database))[0] == [sha256(token)]


async def test_a_file_that_holds_no_token_is_not_overwritten(database: Database, directory: Path) -> None:
    """Something else in the place of the token ends the start with a sentence."""
    (directory / "admin-token").write_text("precious\n")
    with pytest.raises(ConfigurationError, match="admin-token holds no admin's token"):
        await bootstrap.prepare(database, directory, NOW)
    assert (directory / "admin-token").read_text() == "precious\n"


async def test_a_nodes_token_is_no_administrators(database: Database, directory: Path) -> None:
    """The kinds of token are told apart by their prefix."""
    (directory / "admin-token").write_text(new_token(TokenKind.NODE))
    with pytest.raises(ConfigurationError, match="admin-token"):
        await bootstrap.prepare(database, directory, NOW)


async def test_a_lost_file_is_told_and_not_replaced(
    database: Database, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says how to get a new token; no second administrator appears."""
    await bootstrap.prepare(database, directory, NOW)
    (directory / "admin-token").unlink()
    with caplog.at_level(logging.INFO):
        assert await bootstrap.prepare(database, directory, NOW) is None
    assert "reset-token admin" in caplog.text
    assert not (directory / "admin-token").exists()
    async with database.read() as session:
        assert len((await session.exec(select(User))).all()) == 1


async def test_a_file_of_another_database_is_told(
    database: Database, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that this database does not know is named as refused, and not shown."""
    await bootstrap.prepare(database, directory, NOW)
    stranger = new_token(TokenKind.USER)
    (directory / "admin-token").write_text(stranger)
    await bootstrap.prepare(database, directory, NOW)
    assert "not one of this database" in caplog.text
    assert stranger not in caplog.text


async def test_a_reset_replaces_the_token(database: Database, directory: Path) -> None:
    """The new token is in the file and the table, the old one is in neither, and nodes are told."""
    old = await bootstrap.prepare(database, directory, NOW)
    seen = database.config_changed.count
    new = await bootstrap.reset(database, directory, "admin", NOW)
    assert new != old
    assert (directory / "admin-token").read_text().strip() == new
    assert (await _hashes(database))[0] == [sha256(new)]
    assert database.config_changed.count == seen + 1


async def test_a_reset_brings_a_deleted_node_back(database: Database, directory: Path) -> None:
    """The local node gets a token, whether it is there or not."""
    await bootstrap.prepare(database, directory, NOW)
    async with database.write() as session:
        await session.delete((await session.exec(select(Node))).one())
    assert await bootstrap.prepare(database, directory, NOW) is None
    assert (await _hashes(database))[1] == []
    new = await bootstrap.reset(database, directory, "node", NOW)
    assert (await _hashes(database))[1] == [sha256(new)]
