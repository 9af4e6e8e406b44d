"""Deleting many rows in portions, so that others may write in between."""

from sqlalchemy import ColumnElement, tuple_
from sqlalchemy import select as select_columns
from sqlmodel import SQLModel, delete
from sqlmodel.ext.asyncio.session import AsyncSession


async def delete_some(
    session: AsyncSession, table: type[SQLModel], which: ColumnElement[bool], most: int
) -> int:
    """Delete at most so many of the rows that `which` chooses; gives how many.

    It waits for nobody, and so for nobody who waits for it: rows that others hold stay, for the next time.
    Fewer than `most` are deleted where there are no more, but for these.
    """
    key = table.__table__.primary_key  # type: ignore[attr-defined]  # of every table
    some = select_columns(*key).where(which).limit(most)
    if session.get_bind().dialect.name == "postgresql":
        # Apart from the deletion, or PostgreSQL might choose anew for each row of it.
        some = select_columns(some.with_for_update(skip_locked=True).cte())
    return (await session.exec(delete(table).where(tuple_(*key).in_(some)))).rowcount
