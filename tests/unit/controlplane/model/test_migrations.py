"""The migrations make the tables that the code expects."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, PrimaryKeyConstraint
from sqlalchemy.engine import make_url

from controlplane.model import engine, migrate
from controlplane.model.schema import METADATA


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    return list(compare_metadata(context, METADATA))


async def test_migrations_and_tables_agree(tmp_path: Path) -> None:
    """Alembic finds nothing to add to the last migration."""
    connections = engine.create(make_url(f"sqlite:///{tmp_path / 'test.db'}"))
    await migrate.to_head(connections)
    async with connections.connect() as connection:
        assert await connection.run_sync(_differences) == []
    await connections.dispose()


async def test_constraints_have_names_and_ids_are_not_reused(tmp_path: Path) -> None:
    """What Alembic does not compare on SQLite is as the tables say."""
    connections = engine.create(make_url(f"sqlite:///{tmp_path / 'test.db'}"))
    await migrate.to_head(connections)
    await connections.dispose()
    with sqlite3.connect(tmp_path / "test.db") as connection:
        statements = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    connection.close()
    for name, table in METADATA.tables.items():
        reused = "AUTOINCREMENT" not in statements[name]
        assert reused == (not table.dialect_kwargs.get("sqlite_autoincrement", False)), name
        names = {str(item.name) for item in table.constraints if not isinstance(item, PrimaryKeyConstraint)}
        assert all(item in statements[name] for item in names), name


async def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    """A second start finds the tables up to date."""
    connections = engine.create(make_url(f"sqlite:///{tmp_path / 'test.db'}"))
    await migrate.to_head(connections)
    once = _dump(tmp_path / "test.db")
    await migrate.to_head(connections)
    await connections.dispose()
    assert "alembic_version" in "".join(once)
    assert _dump(tmp_path / "test.db") == once


def test_migrations_are_one_line_of_history() -> None:
    """There is one head: two branches would make the order of changes a matter of luck."""
    scripts = ScriptDirectory(Path(migrate.__file__).with_name("migrations"))
    assert len(scripts.get_heads()) == 1
    assert scripts.get_current_head() == "0017_audit_alias"


def test_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    """Three processes on one new database all come up."""
    program = (
        "import asyncio, sys\n"
        "from controlplane.model.database import Database\n"
        "async def main():\n"
        "    await (await Database.open(sys.argv[1])).close()\n"
        "asyncio.run(main())\n"
    )
    url = f"sqlite:///{tmp_path / 'test.db'}"
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", program, url],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])},
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    problems = [process.communicate(timeout=60)[1] for process in starting]
    assert [process.returncode for process in starting] == [0, 0, 0], problems


def _dump(path: Path) -> list[str]:
    """All tables and rows, as SQL."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())
