"""The tables of how upstreams are reached: credentials, and what AWS gave for them."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import UniqueConstraint
from sqlmodel import Field, SQLModel

from controlplane.model.tables import NEVER_AGAIN


class Credential(SQLModel, table=True):
    """What upstreams are shown; secrets are sealed (see `controlplane.model.secrets`)."""

    __tablename__ = "credential"
    __table_args__ = (UniqueConstraint("organization_id", "slug"), NEVER_AGAIN)

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
