"""The control plane's tables: one class each, rows only, no behaviour.

Timestamps are timezone-aware UTC. `id` columns are internal and never leave the
process; `uid` is the immutable public identity; names are unique where users see them.
"""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, UniqueConstraint
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
_NEVER_AGAIN = {"sqlite_autoincrement": True}


class Singleton(SQLModel, table=True):
    """One row: what belongs to the whole installation."""

    __tablename__ = "singleton"

    id: int = Field(default=1, primary_key=True)
    # Revision of the configuration that nodes run; raised in the transaction of every change.
    config_revision: int = Field(default=1, sa_type=BigInteger)


class Organization(SQLModel, table=True):
    """An owner of artifacts; `slug` is the first component of repository names."""

    __tablename__ = "organization"
    __table_args__ = _NEVER_AGAIN

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    slug: str = Field(unique=True)
    display_name: str = ""
    create_time: datetime
    update_time: datetime


class User(SQLModel, table=True):
    """A person or machine; without an organization, an administrator of the installation."""

    __tablename__ = "user_account"
    __table_args__ = (UniqueConstraint("organization_id", "email"), _NEVER_AGAIN)

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    organization_id: int | None = Field(default=None, foreign_key="organization.id", ondelete="CASCADE")
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
    __table_args__ = _NEVER_AGAIN

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


class Node(SQLModel, table=True):
    """A data-plane node that was admitted, and what it last said of itself."""

    __tablename__ = "node"
    __table_args__ = _NEVER_AGAIN

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    node_id: str = Field(unique=True)
    sha256: bytes = Field(sa_column=Column(LargeBinary(32), unique=True, nullable=False))
    create_time: datetime
    last_seen_time: datetime | None = None
    revision: int = Field(default=0, sa_type=BigInteger)
    config_error: str = ""
    version: str = ""


class Artifact(SQLModel, table=True):
    """One upstream repository, served as `<organization slug>/<path>`."""

    __tablename__ = "artifact"
    __table_args__ = (UniqueConstraint("organization_id", "path"), _NEVER_AGAIN)

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    organization_id: int = Field(foreign_key="organization.id", ondelete="CASCADE")
    # Repository name below the organization, `team/app`.
    path: str
    display_name: str = ""
    # `host[:port]/repository`, canonical.
    upstream: str
    plain_http: bool = False
    # Raised when a tag moved, came or went; what nodes resolved under an older one is stale.
    content_revision: int = Field(default=1, sa_type=BigInteger)
    last_sync_time: datetime | None = None
    last_sync_error: str = ""
    create_time: datetime
    update_time: datetime


class Tag(SQLModel, table=True):
    """A name for a manifest, as the upstream had it when it was last seen."""

    __tablename__ = "tag"

    artifact_id: int = Field(foreign_key="artifact.id", ondelete="CASCADE", primary_key=True)
    name: str = Field(primary_key=True)
    digest: str
    create_time: datetime
    update_time: datetime

    __table_args__ = (Index("ix_tag_digest", "artifact_id", "digest"),)


class Manifest(SQLModel, table=True):
    """A manifest or index that an artifact holds, byte for byte."""

    __tablename__ = "manifest"

    artifact_id: int = Field(foreign_key="artifact.id", ondelete="CASCADE", primary_key=True)
    digest: str = Field(primary_key=True)
    media_type: str
    artifact_type: str = ""
    # Digest that it refers to, for referrers.
    subject: str = ""
    size: int = Field(sa_type=BigInteger)
    content: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    create_time: datetime

    __table_args__ = (Index("ix_manifest_subject", "artifact_id", "subject"),)


class EdgeKind(StrEnum):
    """What a descriptor in a manifest points at."""

    MANIFEST = "manifest"
    BLOB = "blob"


class Edge(SQLModel, table=True):
    """A descriptor inside a held manifest: parent reaches child."""

    __tablename__ = "edge"

    artifact_id: int = Field(foreign_key="artifact.id", ondelete="CASCADE", primary_key=True)
    parent: str = Field(primary_key=True)
    child: str = Field(primary_key=True)
    kind: str
    media_type: str
    size: int = Field(sa_type=BigInteger)
    # `linux/arm64/v8`; empty where the descriptor names none.
    platform: str = ""

    __table_args__ = (Index("ix_edge_child", "artifact_id", "child"),)


class SyncJob(SQLModel, table=True):
    """One run of sync over one artifact; states and triggers are those of penstock.v1.SyncJob."""

    __tablename__ = "sync_job"
    __table_args__ = (Index("ix_sync_job_artifact", "artifact_id", "id"), _NEVER_AGAIN)

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
    manifests_fetched: int = 0
    # [{"tag": ..., "reason": ...}], the first 100.
    tag_errors: list[dict[str, str]] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
