"""The tables of sync: its jobs, and its locks where there is no Redis."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Column, Index, false, text
from sqlmodel import Field, SQLModel

import controlplane.model.artifact_tables  # noqa: F401 - rows here refer to its rows
from controlplane.model.tables import NEVER_AGAIN


class SyncJob(SQLModel, table=True):
    """One run of sync over one artifact; states and triggers are those of penstock.v1.SyncJob."""

    __tablename__ = "sync_job"
    __table_args__ = (
        Index("ix_sync_job_artifact", "artifact_id", "id"),
        Index("ix_sync_job_state", "state", "id"),
        Index("ix_sync_job_end_time", "end_time"),
        NEVER_AGAIN,
    )

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    artifact_id: int = Field(foreign_key="artifact.id", ondelete="CASCADE")
    state: int
    trigger: int
    requested_by: str = ""
    create_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    error: str = ""
    tags_total: int = 0
    tags_done: int = 0
    tags_new: int = 0
    tags_moved: int = 0
    tags_unchanged: int = 0
    tags_failed: int = 0
    tags_removed: int = 0
    tags_skipped: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    tags_missing: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    manifests_fetched: int = 0
    # Requests to the upstream, by the names of penstock.v1.SyncJob.Requests.
    requests: dict[str, int] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default="{}")
    )
    # Removes what is gone upstream at once, and however much it is.
    force_removals: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    # Token of the lock that it runs under.
    owner: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    # Until when it counts as running without being heard of: milliseconds of the database's clock.
    lease_until: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    fence: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    # [{"tag": ..., "reason": ...}], the first 100.
    tag_errors: list[dict[str, str]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))


class SyncLease(SQLModel, table=True):
    """A lock on an artifact where there is no Redis; a row stays when it is released, for its fence."""

    __tablename__ = "sync_lease"

    name: str = Field(primary_key=True)
    # Of whoever holds it; empty when it is free.
    token: str
    fence: int = Field(sa_type=BigInteger)
    # Milliseconds of the database's clock.
    expires_at: int = Field(sa_type=BigInteger)
