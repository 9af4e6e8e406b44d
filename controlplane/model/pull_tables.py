"""The tables of pulls: events, what their numbers stand for, and sums.

None of them refers to another table: what was pulled stays known when the artifact, customer or user is
deleted. Of five million events each byte is five megabytes, so what recurs is a number of `PullName`, 0 where
there is none, and times are milliseconds since 1970.
"""

from enum import IntEnum

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger
from sqlmodel import Field, SQLModel

import controlplane.model.tables  # noqa: F401 - says how constraints are named

NOTHING = 0
"""Stands for a tag, customer, platform that an event does not have."""


class NameKind(IntEnum):
    """What a `PullName` is the name of; the values are those of SumPullsRequest.Dimension."""

    ARTIFACT = 1
    TAG = 2
    DIGEST = 3
    CUSTOMER = 4
    USER = 5
    TOKEN = 6
    ADDRESS = 7
    CLIENT = 8
    PLATFORM = 9


class PullName(SQLModel, table=True):
    """Something that recurs in the pulls of an organization, as it was last called."""

    __tablename__ = "pull_name"
    __table_args__ = (
        Index("ix_pull_name_name", "organization_id", "kind", "name"),
        Index("ix_pull_name_uid", "organization_id", "kind", "uid"),
        Index("ix_pull_name_last_day", "last_day"),
        {"sqlite_autoincrement": True},
    )

    id: int | None = Field(default=None, primary_key=True)
    organization_id: int
    kind: int = Field(sa_type=SmallInteger)
    # Hash of organization, kind, and uid or else name.
    key: bytes = Field(sa_column=Column(LargeBinary(16), unique=True, nullable=False))
    # Empty for what has none, as tags and addresses.
    uid: str = ""
    # Path of an artifact, id of a customer, e-mail address of a user; the uid where it was never known.
    name: str
    # Of a user or customer, for people.
    display_name: str = ""
    # Of the newest pull that has it, in days since 1970.
    last_day: int


class PullRecord(SQLModel, table=True):
    """One pull or check; on PostgreSQL in partitions of a month, see `controlplane.analytics.partitions`."""

    __tablename__ = "pull_event"
    __table_args__ = (
        Index("ix_pull_event_artifact", "organization_id", "artifact_id", "time"),
        Index("ix_pull_event_tag", "organization_id", "tag_id", "time"),
        Index("ix_pull_event_digest", "organization_id", "digest_id", "time"),
        Index("ix_pull_event_customer", "organization_id", "customer_id", "time"),
        Index("ix_pull_event_user", "organization_id", "user_id", "time"),
        Index("ix_pull_event_token", "organization_id", "token_id", "time"),
        Index("ix_pull_event_address", "organization_id", "address_id", "time"),
        Index("ix_pull_event_client", "organization_id", "client_id", "time"),
        {"postgresql_partition_by": "RANGE (time)"},
    )

    organization_id: int = Field(primary_key=True)
    time: int = Field(sa_type=BigInteger, primary_key=True)
    # The event's id: one that is sent again is the same row.
    event_id: bytes = Field(sa_column=Column(LargeBinary(16), primary_key=True))
    # A value of penstock.v1.PullEvent.Kind.
    kind: int = Field(sa_type=SmallInteger)
    completed: bool
    artifact_id: int
    tag_id: int
    digest_id: int
    platform_id: int
    platform_digest_id: int
    customer_id: int
    user_id: int
    token_id: int
    address_id: int
    client_id: int
    bytes_sent: int = Field(sa_type=BigInteger)
    warm_blobs: int
    cold_blobs: int
    # Those that the client was sent elsewhere for.
    bytes_redirected: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))


class Grain(IntEnum):
    """How much time one sum is of."""

    HOUR = 1
    DAY = 2


class Shape(IntEnum):
    """What the sums of one series tell apart; what they do not is 0 in them."""

    TOTAL = 0
    ARTIFACT = 1
    TAG = 2
    """Of an artifact."""
    CUSTOMER = 3
    HOLDER = 4
    """Artifact, tag and customer; by the day alone."""
    USER = 5
    """Those of HOLDER and user; it and those below by the day alone, and kept as long as events are."""
    TOKEN = 6
    """Of a user of a customer."""
    CLIENT = 7
    """Of a customer's pulls."""
    ADDRESS = 8
    """Of a customer's pulls. At most one for each event, however many addresses there are."""
    MEMBER = 9
    """Those of USER but the tag."""


class PullSum(SQLModel, table=True):
    """How many pulls of an hour or day were alike in what the shape tells apart."""

    __tablename__ = "pull_sum"
    __table_args__ = (
        Index("ix_pull_sum_artifact", "organization_id", "grain", "shape", "artifact_id", "bucket"),
        Index("ix_pull_sum_customer", "organization_id", "grain", "shape", "customer_id", "bucket"),
    )

    organization_id: int = Field(primary_key=True)
    grain: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    shape: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    # Hours or days since 1970.
    bucket: int = Field(primary_key=True)
    artifact_id: int = Field(primary_key=True)
    tag_id: int = Field(primary_key=True)
    customer_id: int = Field(primary_key=True)
    user_id: int = Field(primary_key=True)
    token_id: int = Field(primary_key=True)
    address_id: int = Field(primary_key=True)
    client_id: int = Field(primary_key=True)
    kind: int = Field(sa_column=Column(SmallInteger, primary_key=True, autoincrement=False))
    count: int = Field(sa_type=BigInteger)
    # Of these, with a blob that was fetched.
    cold: int = Field(sa_type=BigInteger)
    bytes_sent: int = Field(sa_type=BigInteger)
    bytes_redirected: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    # Of the newest.
    last_time: int = Field(sa_type=BigInteger)
