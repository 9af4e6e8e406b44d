"""Ids of rows that are in the database."""

from typing import Protocol


class Row(Protocol):
    """A row with a surrogate key."""

    id: int | None


def saved_id(row: Row) -> int:
    """Give the id of a row that was read, or was written and flushed; ValueError for another one."""
    if row.id is None:
        raise ValueError(f"this {type(row).__name__} was never saved")
    return row.id
