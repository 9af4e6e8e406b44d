"""The control plane's tables: one class each, rows only, no behaviour.

Those of who there is are here, the rest by subject in `*_tables.py` beside it; `schema.py` has all.
Timestamps are timezone-aware UTC. `id` columns are internal and never leave the process; `uid` is the
immutable public identity; names are unique where users see them.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, LargeBinary, UniqueConstraint, false, text
from sqlmodel import Field, SQLModel

# Without names, constraints could not be changed by a later migration on SQLite.
SQLModel.metadata.naming_convention = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
# SQLite would give the id of a deleted row to the next one: what still works for an artifact that
# was deleted must not find another under its id.
NEVER_AGAIN = {"sqlite_autoincrement": True}


def _revision() -> Any:
    return Field(default=1, sa_column=Column(BigInteger, nullable=False, server_default="1"))


class Singleton(SQLModel, table=True):
    """One row: what belongs to the whole installation."""

    __tablename__ = "singleton"

    id: int = Field(default=1, primary_key=True)
    # Revision of the configuration that nodes run; raised in the transaction of every change.
    config_revision: int = Field(default=1, sa_type=BigInteger)
    # What it was when each section of the configuration was last changed: see `controlplane.model.section`.
    organizations_revision: int = _revision()
    artifacts_revision: int = _revision()
    tokens_revision: int = _revision()
    customers_revision: int = _revision()
    entitlements_revision: int = _revision()
    # What time it was when old pulls were last looked for, as far as the clock was believed: all that
    # deletes for age goes by it, see `controlplane.model.sweep`.
    pulls_swept_time: datetime | None = None


class Organization(SQLModel, table=True):
    """An owner of artifacts; `slug` is the first component of repository names."""

    __tablename__ = "organization"
    __table_args__ = NEVER_AGAIN

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    slug: str = Field(unique=True)
    display_name: str = ""
    # Whether customers see only what they are entitled to.
    entitled_only: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    create_time: datetime
    update_time: datetime


class Customer(SQLModel, table=True):
    """Somebody whom an organization hands images to."""

    __tablename__ = "customer"
    __table_args__ = (UniqueConstraint("organization_id", "slug"), NEVER_AGAIN)

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    organization_id: int = Field(foreign_key="organization.id", ondelete="CASCADE")
    # The last part of its name.
    slug: str
    display_name: str = ""
    create_time: datetime
    update_time: datetime


class User(SQLModel, table=True):
    """A person or machine; without an organization, an administrator of the installation."""

    __tablename__ = "user_account"
    __table_args__ = (UniqueConstraint("organization_id", "email"), NEVER_AGAIN)

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    organization_id: int | None = Field(default=None, foreign_key="organization.id", ondelete="CASCADE")
    # The customer that the user is of; None for users of the organization itself.
    customer_id: int | None = Field(default=None, foreign_key="customer.id", index=True)
    # Lower case.
    email: str
    display_name: str = ""
    # A value of penstock.v1.Role.
    role: int
    create_time: datetime
    update_time: datetime


class AccessToken(SQLModel, table=True):
    """A personal access token: its hash, never its secret."""

    __tablename__ = "access_token"
    __table_args__ = NEVER_AGAIN

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    user_id: int = Field(foreign_key="user_account.id", ondelete="CASCADE", index=True)
    sha256: bytes = Field(sa_column=Column(LargeBinary(32), unique=True, nullable=False))
    hint: str
    label: str = ""
    # Lowers the user's; None leaves it.
    role: int | None = None
    expire_time: datetime | None = None
    create_time: datetime
    # Of its last use, as nodes and this process report it from time to time.
    last_use_time: datetime | None = None
    last_use_address: str = Field(default="", sa_column_kwargs={"server_default": text("''")})


class Node(SQLModel, table=True):
    """A data-plane node that was admitted, and what it last said of itself."""

    __tablename__ = "node"
    __table_args__ = NEVER_AGAIN

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    node_id: str = Field(unique=True)
    sha256: bytes = Field(sa_column=Column(LargeBinary(32), unique=True, nullable=False))
    create_time: datetime
    last_seen_time: datetime | None = None
    revision: int = Field(default=0, sa_type=BigInteger)
    config_error: str = ""
    version: str = ""
    # Entries of its configuration that it goes on without, and what it says of the last.
    passed_over_count: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})
    passed_over: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    # The id of its last report of tokens that were used.
    use_report: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
