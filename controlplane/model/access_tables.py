"""The tables of who may pull what, of what was changed, and of who was refused."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

import controlplane.model.artifact_tables  # noqa: F401 - rows here refer to its rows
from controlplane.model.tables import NEVER_AGAIN


class Entitlement(SQLModel, table=True):
    """That a customer may pull what its grants name, until it ends."""

    __tablename__ = "entitlement"
    __table_args__ = (
        UniqueConstraint("organization_id", "slug"),
        Index("ix_entitlement_config_revision", "config_revision", "id"),
        NEVER_AGAIN,
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
    """That somebody changed something; written with the change, and changed by none but its later parts."""

    __tablename__ = "audit_record"
    __table_args__ = (
        Index("ix_audit_record_organization", "organization_id", "id"),
        Index("ix_audit_record_time", "time"),
        NEVER_AGAIN,
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
    # Its other name, of a user or what is below one: it is found by both, also when it is gone.
    alias: str = Field(default="", sa_column_kwargs={"server_default": text("''")})
    # The request as JSON, without secrets.
    change: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    # What was done, where one request makes many changes.
    outcome: dict[str, Any] = Field(
        default_factory=dict, sa_column=Column(JSON, nullable=False, server_default="{}")
    )


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
