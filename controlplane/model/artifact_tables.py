"""The tables of artifacts and of what is known of their content: tags, manifests, what leads to what."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, UniqueConstraint, false, text
from sqlmodel import Field, SQLModel

import controlplane.model.upstream_tables  # noqa: F401 - rows here refer to its rows
from controlplane.model.tables import NEVER_AGAIN


class Artifact(SQLModel, table=True):
    """One upstream repository, served as `<organization slug>/<path>`."""

    __tablename__ = "artifact"
    __table_args__ = (UniqueConstraint("organization_id", "path"), NEVER_AGAIN)

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    organization_id: int = Field(foreign_key="organization.id", ondelete="CASCADE")
    # Repository name below the organization, `team/app`.
    path: str
    display_name: str = ""
    # `host[:port]/repository`, canonical.
    upstream: str
    plain_http: bool = False
    # None reads without authentication.
    credential_id: int | None = Field(default=None, foreign_key="credential.id", index=True)
    # PEM; empty for the system's.
    ca_certificates: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    # Raised when a tag moved, came or went; what nodes resolved under an older one is stale.
    content_revision: int = Field(default=1, sa_type=BigInteger)
    # As Kubernetes labels.
    labels: dict[str, str] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default="{}")
    )
    # Cron fields, or `@hourly` and the like; the installation's where it is empty.
    sync_schedule: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    # Only synced by hand.
    sync_paused: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    # The rest of its sync policy, as controlplane.catalog.policy writes it.
    sync_policy: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default="{}")
    )
    # Its cache policy: lists of text by the fields of the message, without those that are empty.
    cache_policy: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default="{}")
    )
    last_sync_time: datetime | None = None
    last_sync_error: str = ""
    # When the last run began that asked for every tag it was to ask for, and got an answer.
    tags_seen_time: datetime | None = None
    # When the referrers of all that is tagged were asked for last, or began to be noted at tags; None before.
    referrers_seen_time: datetime | None = None
    # Of all manifests and blobs that are reached, each once; as of the last run that changed something.
    size_bytes: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    # When the schedule syncs it next, reckoned by the expression and time zone in `planned_by`.
    next_sync_time: datetime | None = Field(default=None, index=True)
    planned_by: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    # The highest fencing number of any run; a run with a lower one writes nothing.
    sync_fence: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    # Name of the lease under which it was emptied since the last run began: none begins while that is held.
    emptied_under: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
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
    # When a pull asked the upstream for it last; None where only syncs did.
    seen_time: datetime | None = None
    # Successful runs in a row whose listing did not have it.
    missing_runs: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    # Listed upstream, but not asked for: the artifact's filters leave it out.
    left_out: bool = Field(default=False, sa_column_kwargs={"server_default": false()})
    # No run has asked yet for the referrers of what it stands for.
    referrers_due: bool = Field(default=False, sa_column_kwargs={"server_default": false()})

    __table_args__ = (Index("ix_tag_digest", "artifact_id", "digest"),)


class TagRevision(SQLModel, table=True):
    """That a tag had a digest, and has it no more; what it has now is in `Tag`, since its `update_time`."""

    __tablename__ = "tag_revision"
    __table_args__ = (
        Index("ix_tag_revision_tag", "artifact_id", "name", "id"),
        Index("ix_tag_revision_end_time", "end_time"),
        NEVER_AGAIN,
    )

    id: int | None = Field(default=None, primary_key=True)
    artifact_id: int = Field(foreign_key="artifact.id", ondelete="CASCADE")
    name: str
    digest: str
    start_time: datetime
    end_time: datetime


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
