"""Databases of every older version, with rows in all their tables, become those of this one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from controlplane.model import engine, migrate
from controlplane.model.schema import METADATA
from tests.integration.conftest import Copies

_NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_VALUES: dict[type, Any] = {
    bool: True,
    bytes: b"0123456789abcdef",
    datetime: _NOW,
    int: 1,
    str: "text",
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
async def connections(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'older.db'}"
    else:
        copies: Copies = request.getfixturevalue("postgres_copies")
        url = copies.empty()
    connections = engine.create(make_url(url))
    yield connections
    await connections.dispose()


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(migrate._MIGRATIONS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _revisions(connection: sa.Connection) -> list[str]:
    """Gives all of them, oldest first."""
    scripts = ScriptDirectory.from_config(_config(connection)).walk_revisions()
    return [script.revision for script in scripts][::-1]


def _fill(connection: sa.Connection) -> None:
    """Puts a row into each table that has none; rows refer to each other."""
    found = sa.MetaData()
    found.reflect(connection)
    for table in found.sorted_tables:
        if table.name in ("alembic_version", "pull_event_all") or _count(connection, table):
            continue
        if table.dialect_options["postgresql"]["partition_by"] or _is_partitioned(connection, table.name):
            connection.execute(sa.text(f"CREATE TABLE {table.name}_all PARTITION OF {table.name} DEFAULT"))
        values = {
            column.name: _value(column.type)
            for column in table.columns
            if not column.nullable and column.server_default is None
        }
        connection.execute(table.insert(), values)


def _value(kind: sa.types.TypeEngine[Any]) -> Any:
    # Of what it reads from a database, SQLAlchemy says that JSON may be anything.
    return {} if isinstance(kind, sa.JSON) else _VALUES[kind.python_type]


def _is_partitioned(connection: sa.Connection, name: str) -> bool:
    if connection.dialect.name != "postgresql":
        return False
    kind = sa.text("SELECT count(*) FROM pg_partitioned_table WHERE partrelid = to_regclass(:name)")
    return bool(connection.execute(kind, {"name": name}).scalar_one())


def _count(connection: sa.Connection, table: sa.Table) -> int:
    return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


def _climb(connection: sa.Connection, *, filled: int) -> None:
    """Migrates one revision after the other as far as the newest, or `filled`, with rows at each."""
    for revision in _revisions(connection)[:filled]:
        command.upgrade(_config(connection), revision)
        _fill(connection)


@pytest.mark.parametrize("filled", [1, 99], ids=["from-the-first", "step-by-step"])
async def test_rows_of_every_version_are_read_by_this_one(connections: AsyncEngine, filled: int) -> None:
    """None is lost, each column can be read as what it is now, and constraints hold for what is there."""
    async with engine.for_writing(connections).begin() as connection:
        await connection.run_sync(lambda it: _climb(it, filled=filled))
        before = await connection.run_sync(_rows_of_all)
    await migrate.to_head(connections)
    async with connections.connect() as connection:
        after = await connection.run_sync(_rows_of_all)
        if connections.dialect.name == "sqlite":
            assert (await connection.execute(sa.text("PRAGMA foreign_key_check"))).all() == []
            assert (await connection.execute(sa.text("PRAGMA integrity_check"))).scalar_one() == "ok"

    assert before
    assert {name: len(after[name]) for name in before} == {name: len(rows) for name, rows in before.items()}
    # Nobody had asked for the referrers of this one.
    assert after["tag"][0].referrers_due is True
    assert (after["artifact"][0].labels, after["artifact"][0].next_sync_time) == ({}, None)


def _rows_of_all(connection: sa.Connection) -> dict[str, list[sa.Row[Any]]]:
    there = sa.inspect(connection).get_table_names()
    known = {name: table for name, table in METADATA.tables.items() if name in there}
    found: dict[str, list[sa.Row[Any]]] = {}
    for name, table in known.items():
        columns = {column["name"] for column in sa.inspect(connection).get_columns(name)}
        rows = connection.execute(sa.select(*(col for col in table.columns if col.name in columns))).all()
        found[name] = list(rows)
    return found
