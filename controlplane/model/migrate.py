"""Brings the tables up to date when the control plane starts."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from clients.process.exits import ConfigurationError
from controlplane.model import engine

_MIGRATIONS: Final = Path(__file__).with_name("migrations")
LOCK: Final = 0x70656E73
"""Any number that nothing else locks: replicas that start at once migrate one after the other."""


async def to_head(connections: AsyncEngine) -> None:
    """Apply the migrations that the database lacks, in one transaction.

    Raises ConfigurationError where it has one that this code does not know.
    """
    async with engine.for_writing(connections).begin() as connection:
        if connections.dialect.name == "postgresql":
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    for revision in MigrationContext.configure(connection).get_current_heads():
        if revision not in known:
            raise ConfigurationError(
                f"The database is newer than this version of Penstock (its schema is {revision}, the"
                f" newest known here is {scripts.get_current_head()}): start the version that wrote it,"
                " or restore the backup from before that one was started."
            )
    command.upgrade(config, "head")
