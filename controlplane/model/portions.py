"""Deleting many rows in portions, so that others may write in between."""

from sqlalchemy import ColumnElement, tuple_
from sqlalchemy import select as select_columns
from sqlmodel import SQLModel, delete
from sqlmodel.ext.asyncio.session import AsyncSession


async def delete_some(
    session: AsyncSession, table: type[SQLModel], which: ColumnElement[bool], most: int
) -> int:
    """Delete at most so many of the rows that `which` chooses; gives how many, fewer where none is left.

    One that others change meanwhile stays if it is none of them then.
    """
    key = table.__table__.primary_key  # type: ignore[attr-defined]  # of every table
    some = select_columns(*key).where(which).limit(most)
    # Said twice: of a row that somebody else is changing, PostgreSQL looks again only at what is said here.
    return (await session.exec(delete(table).where(tuple_(*key).in_(some), which))).rowcount
