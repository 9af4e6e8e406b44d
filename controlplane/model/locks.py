"""The order in which a transaction locks rows, so that no two of them wait for each other.

Parents before children, the singleton row last, rows of one table by id:

    node, organization, credential, artifact, sync job, customer, user, access token, entitlement, singleton

PostgreSQL locks more than what a statement names:

- what is deleted with its parent: whoever deletes an artifact locks the entitlements that lose a grant;
- the row that a new foreign key refers to: whoever writes a grant locks its artifact before the entitlement;
- all that a row refers to, once a transaction updates it a second time: whoever changes a row has its parents
  stay.

What is deleted for its age, in no order, waits for none of them (`controlplane.model.portions`).

After `Database.raise_revision` come only rows that are locked already, or new. SQLite has one writer at a
time, and needs none of this.
"""

from enum import Enum

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Mapped
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession


class Hold(Enum):
    """What others may do meanwhile; the weakest that serves, for a stronger one later waits anew."""

    STAYS = "stays"
    """Change it, but neither delete it nor hold it as one that goes."""
    CHANGES = "changes"
    """Refer to it."""
    GOES = "goes"
    """Nothing but read it."""

    @property
    def shared(self) -> bool:
        """Whether others may hold it so as well: `read` of SQLAlchemy."""
        return self is Hold.STAYS

    @property
    def leaves_key(self) -> bool:
        """Whether others may refer to the row: `key_share` of SQLAlchemy."""
        return self is not Hold.GOES


async def lock(
    session: AsyncSession,
    key: Mapped[int | None],
    hold: Hold,
    *which: ColumnElement[bool],
    skip: bool = False,
) -> list[int]:
    """Lock rows of one table until the transaction ends; gives their ids, of those that are there.

    `key` is the column of ids, as `col` gives it; `which` chooses among the rows of its table. With `skip`,
    rows for which it would have to wait are left out.
    """
    found = await session.exec(
        select(key)
        .where(*which)
        .order_by(key)
        .with_for_update(read=hold.shared, key_share=hold.leaves_key, skip_locked=skip)
    )
    return [row for row in found if row is not None]
