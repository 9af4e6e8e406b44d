"""Credentials for private upstreams, and the tokens that AWS gives for them."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0002_credentials"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "credential",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("slug", sqltypes.AutoString(), nullable=False),
        sa.Column("display_name", sqltypes.AutoString(), nullable=False),
        sa.Column("kind", sqltypes.AutoString(), nullable=False),
        sa.Column("username", sqltypes.AutoString(), nullable=False),
        sa.Column("secret", sqltypes.AutoString(), nullable=False),
        sa.Column("secret_hint", sqltypes.AutoString(), nullable=False),
        sa.Column("session_token", sqltypes.AutoString(), nullable=False),
        sa.Column("role_arn", sqltypes.AutoString(), nullable=False),
        sa.Column("external_id", sqltypes.AutoString(), nullable=False),
        sa.Column("endpoint", sqltypes.AutoString(), nullable=False),
        sa.Column("secret_update_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("secret_update_user", sqltypes.AutoString(), nullable=False),
        sa.Column("last_success_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("last_error", sqltypes.AutoString(), nullable=False),
        sa.Column("last_error_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("update_time", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_credential_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
        sa.UniqueConstraint("organization_id", "slug", name=op.f("uq_credential_organization_id_slug")),
        sa.UniqueConstraint("uid", name=op.f("uq_credential_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "ecr_token",
        sa.Column("credential_id", sa.Integer(), nullable=False),
        sa.Column("region", sqltypes.AutoString(), nullable=False),
        sa.Column("token", sqltypes.AutoString(), nullable=False),
        sa.Column("fetch_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("expire_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("lease_until", sqltypes.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["credential_id"],
            ["credential.id"],
            name=op.f("fk_ecr_token_credential_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("credential_id", "region", name=op.f("pk_ecr_token")),
    )
    # In words: Alembic does not add a column with a named foreign key to a table of SQLite.
    op.execute(
        "ALTER TABLE artifact ADD COLUMN credential_id INTEGER"
        " CONSTRAINT fk_artifact_credential_id REFERENCES credential (id)"
    )
    op.add_column(
        "artifact",
        sa.Column("ca_certificates", sqltypes.AutoString(), nullable=False, server_default=""),
    )
    op.create_index(op.f("ix_artifact_credential_id"), "artifact", ["credential_id"], unique=False)
