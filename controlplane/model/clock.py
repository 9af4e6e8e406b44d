"""The clock of the database: one for all replicas, whatever their own clocks say."""

from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, literal_column
from sqlmodel.ext.asyncio.session import AsyncSession

# The Julian day of 1970-01-01, in days of milliseconds.
_SQLITE: Final = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
_POSTGRESQL: Final = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


def milliseconds(session: AsyncSession) -> ColumnElement[int]:
    """Give the SQL for milliseconds since 1970, when the statement runs."""
    postgresql = session.get_bind().dialect.name == "postgresql"
    clock: ColumnElement[Any] = literal_column(_POSTGRESQL if postgresql else _SQLITE, BigInteger)
    return clock
