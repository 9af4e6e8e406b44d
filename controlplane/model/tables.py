"""The control plane's tables: one class each, rows only, no behaviour.

Timestamps are timezone-aware UTC. `id` columns are internal and never leave the
process; `uid` is the immutable public identity; names are unique where users see them.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, LargeBinary, UniqueConstraint, false, text
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


class Organization(SQLModel, table=True):
    """An owner of artifacts; `slug` is the first component of repository names."""

    __tablename__ = "organization"
    __table_args__ = _NEVER_AGAIN

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
    __table_args__ = (UniqueConstraint("organization_id", "slug"), _NEVER_AGAIN)

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
    __table_args__ = (UniqueConstraint("organization_id", "email"), _NEVER_AGAIN)

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
    # Of its last use, as nodes and this process report it from time to time.
    last_use_time: datetime | None = None
    last_use_address: str = Field(default="", sa_column_kwargs={"server_default": text("''")})


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


class Credential(SQLModel, table=True):
    """What upstreams are shown; secrets are sealed (see `controlplane.model.secrets`)."""

    __tablename__ = "credential"
    __table_args__ = (UniqueConstraint("organization_id", "slug"), _NEVER_AGAIN)

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    organization_id: int = Field(foreign_key="organization.id", ondelete="CASCADE")
    # The last part of its name.
    slug: str
    display_name: str = ""
    # A value of CredentialKind.
    kind: str
    # User name, or access key id.
    username: str
    # Password, or secret access key; sealed.
    secret: str
    # The last characters of it, if it is long enough to show any.
    secret_hint: str = ""
    # Of a temporary access key; sealed, or empty.
    session_token: str = ""
    role_arn: str = ""
    external_id: str = ""
    endpoint: str = ""
    secret_update_time: datetime
    # An e-mail address.
    secret_update_user: str
    last_success_time: datetime | None = None
    last_error: str = ""
    last_error_time: datetime | None = None
    create_time: datetime
    update_time: datetime


class CredentialKind(StrEnum):
    """How a credential is turned into what an upstream takes."""

    BASIC = "basic"
    AWS_ECR = "aws_ecr"


class EcrToken(SQLModel, table=True):
    """The registry password that AWS gave for a credential in a region; shared by all replicas."""

    __tablename__ = "ecr_token"

    credential_id: int = Field(foreign_key="credential.id", ondelete="CASCADE", primary_key=True)
    region: str = Field(primary_key=True)
    # Sealed; empty until the first one came.
    token: str = ""
    fetch_time: datetime | None = None
    expire_time: datetime | None = None
    # One replica asks AWS at a time: whoever set this, until then.
    lease_until: datetime | None = None


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
    # When the referrers of all that is tagged were asked for last.
    referrers_seen_time: datetime | None = None
    # Of all manifests and blobs that are reached, each once; as of the last run that changed something.
    size_bytes: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
    # When the schedule syncs it next, reckoned by the expression and time zone in `planned_by`.
    next_sync_time: datetime | None = Field(default=None, index=True)
    planned_by: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    # The highest fencing number of any run; a run with a lower one writes nothing.
    sync_fence: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, server_default="0"))
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

    __table_args__ = (Index("ix_tag_digest", "artifact_id", "digest"),)


class TagRevision(SQLModel, table=True):
    """That a tag had a digest, and has it no more; what it has now is in `Tag`, since its `update_time`."""

    __tablename__ = "tag_revision"
    __table_args__ = (
        Index("ix_tag_revision_tag", "artifact_id", "name", "id"),
        Index("ix_tag_revision_end_time", "end_time"),
        _NEVER_AGAIN,
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


class SyncJob(SQLModel, table=True):
    """One run of sync over one artifact; states and triggers are those of penstock.v1.SyncJob."""

    __tablename__ = "sync_job"
    __table_args__ = (
        Index("ix_sync_job_artifact", "artifact_id", "id"),
        Index("ix_sync_job_state", "state", "id"),
        Index("ix_sync_job_end_time", "end_time"),
        _NEVER_AGAIN,
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


class Entitlement(SQLModel, table=True):
    """That a customer may pull what its grants name, until it ends."""

    __tablename__ = "entitlement"
    __table_args__ = (
        UniqueConstraint("organization_id", "slug"),
        Index("ix_entitlement_config_revision", "config_revision", "id"),
        _NEVER_AGAIN,
    )

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    organization_id: int = Field(foreign_key="organization.id", ondelete="CASCADE")
    customer_id: int = Field(foreign_key="customer.id", ondelete="CASCADE", index=True)
    # The last part of its name.
    slug: str
    display_name: str = ""
    expire_time: datetime | None = None
    # The configuration revision of its last change, so that only what changed is read again.
    config_revision: int = Field(sa_type=BigInteger)
    create_time: datetime
    update_time: datetime


class EntitlementGrant(SQLModel, table=True):
    """Tags of one artifact that an entitlement names."""

    __tablename__ = "entitlement_grant"

    entitlement_id: int = Field(foreign_key="entitlement.id", ondelete="CASCADE", primary_key=True)
    artifact_id: int = Field(foreign_key="artifact.id", ondelete="CASCADE", primary_key=True, index=True)
    # JSON, as controlplane.model.tag_rules writes it.
    rule: str


class AuditRecord(SQLModel, table=True):
    """That somebody changed something; written with the change, and by nobody changed."""

    __tablename__ = "audit_record"
    __table_args__ = (
        Index("ix_audit_record_organization", "organization_id", "id"),
        Index("ix_audit_record_time", "time"),
        _NEVER_AGAIN,
    )

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    # Not a foreign key: it stays when the organization goes. None where it was of none.
    organization_id: int | None = None
    time: datetime
    email: str
    user_uid: str
    token_uid: str
    address: str
    method: str
    resource: str
    # The request as JSON, without secrets.
    change: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


class RefusedSignIn(SQLModel, table=True):
    """How often an address was refused, with a token that ended or with none that is known."""

    __tablename__ = "refused_sign_in"
    __table_args__ = (
        Index("ix_refused_sign_in_last_time", "last_time"),
        Index("ix_refused_sign_in_organization", "organization_id", "last_time"),
    )

    address: str = Field(primary_key=True)
    # Empty for tokens that are not known.
    token_uid: str = Field(primary_key=True)
    count: int = Field(sa_type=BigInteger)
    first_time: datetime
    last_time: datetime
    # That the token is of, or was; not a foreign key, as in AuditRecord. None where that is not known.
    organization_id: int | None = None
