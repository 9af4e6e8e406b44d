"""Customers, what they are entitled to, who changed what, and when which part of the configuration did."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0005_customers"
down_revision = "0004_pulls"
branch_labels = None
depends_on = None

_SECTIONS = ("organizations", "artifacts", "tokens", "customers", "entitlements")


def upgrade() -> None:
    op.create_table(
        "customer",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("slug", sqltypes.AutoString(), nullable=False),
        sa.Column("display_name", sqltypes.AutoString(), nullable=False),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("update_time", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_customer_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_customer")),
        sa.UniqueConstraint("organization_id", "slug", name=op.f("uq_customer_organization_id_slug")),
        sa.UniqueConstraint("uid", name=op.f("uq_customer_uid")),
        sqlite_autoincrement=True,
    )
    # In words: Alembic does not add a column with a named foreign key to a table of SQLite.
    op.execute(
        "ALTER TABLE user_account ADD COLUMN customer_id INTEGER"
        " CONSTRAINT fk_user_account_customer_id REFERENCES customer (id)"
    )
    op.create_index(op.f("ix_user_account_customer_id"), "user_account", ["customer_id"], unique=False)
    for section in _SECTIONS:
        op.add_column(
            "singleton", sa.Column(f"{section}_revision", sa.BigInteger(), server_default="1", nullable=False)
        )
    op.add_column(
        "organization", sa.Column("entitled_only", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("access_token", sa.Column("last_use_time", sqltypes.UTCDateTime(), nullable=True))
    op.add_column(
        "access_token",
        sa.Column("last_use_address", sqltypes.AutoString(), server_default=sa.text("''"), nullable=False),
    )
    _entitlements()
    op.create_table(
        "audit_record",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=True),
        sa.Column("time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("email", sqltypes.AutoString(), nullable=False),
        sa.Column("user_uid", sqltypes.AutoString(), nullable=False),
        sa.Column("token_uid", sqltypes.AutoString(), nullable=False),
        sa.Column("address", sqltypes.AutoString(), nullable=False),
        sa.Column("method", sqltypes.AutoString(), nullable=False),
        sa.Column("resource", sqltypes.AutoString(), nullable=False),
        sa.Column("change", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_record")),
        sa.UniqueConstraint("uid", name=op.f("uq_audit_record_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_record_organization", "audit_record", ["organization_id", "id"], unique=False)
    op.create_index("ix_audit_record_time", "audit_record", ["time"], unique=False)
    op.create_table(
        "refused_sign_in",
        sa.Column("address", sqltypes.AutoString(), nullable=False),
        sa.Column("token_uid", sqltypes.AutoString(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("last_time", sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("address", "token_uid", name=op.f("pk_refused_sign_in")),
    )
    op.create_index("ix_refused_sign_in_last_time", "refused_sign_in", ["last_time"], unique=False)


def _entitlements() -> None:
    op.create_table(
        "entitlement",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("slug", sqltypes.AutoString(), nullable=False),
        sa.Column("display_name", sqltypes.AutoString(), nullable=False),
        sa.Column("expire_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("config_revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("update_time", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_entitlement_organization_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["customer_id"], ["customer.id"], name=op.f("fk_entitlement_customer_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entitlement")),
        sa.UniqueConstraint("organization_id", "slug", name=op.f("uq_entitlement_organization_id_slug")),
        sa.UniqueConstraint("uid", name=op.f("uq_entitlement_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_entitlement_customer_id"), "entitlement", ["customer_id"], unique=False)
    op.create_index("ix_entitlement_config_revision", "entitlement", ["config_revision", "id"], unique=False)
    op.create_table(
        "entitlement_grant",
        sa.Column("entitlement_id", sa.Integer(), nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("rule", sqltypes.AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entitlement_id"],
            ["entitlement.id"],
            name=op.f("fk_entitlement_grant_entitlement_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["artifact_id"],
            ["artifact.id"],
            name=op.f("fk_entitlement_grant_artifact_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("entitlement_id", "artifact_id", name=op.f("pk_entitlement_grant")),
    )
    op.create_index(
        op.f("ix_entitlement_grant_artifact_id"), "entitlement_grant", ["artifact_id"], unique=False
    )
