"""Pulls: events, what their numbers stand for, and sums."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0004_pulls"
down_revision = "0003_sync"
branch_labels = None
depends_on = None

_NUMBERS = (
    "artifact",
    "tag",
    "digest",
    "platform",
    "platform_digest",
    "customer",
    "user",
    "token",
    "address",
    "client",
)
_INDEXED = ("artifact", "tag", "digest", "customer", "user", "token", "address", "client")


def upgrade() -> None:
    op.create_table(
        "pull_name",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("name", sqltypes.AutoString(), nullable=False),
        sa.Column("display_name", sqltypes.AutoString(), nullable=False),
        sa.Column("last_day", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pull_name")),
        sa.UniqueConstraint("key", name=op.f("uq_pull_name_key")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_pull_name_name", "pull_name", ["organization_id", "kind", "name"], unique=False)
    op.create_index("ix_pull_name_uid", "pull_name", ["organization_id", "kind", "uid"], unique=False)
    op.create_index("ix_pull_name_last_day", "pull_name", ["last_day"], unique=False)
    op.create_table(
        "pull_event",
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.LargeBinary(16), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("completed", sa.Boolean(), nullable=False),
        *(sa.Column(f"{name}_id", sa.Integer(), nullable=False) for name in _NUMBERS),
        sa.Column("bytes_sent", sa.BigInteger(), nullable=False),
        sa.Column("warm_blobs", sa.Integer(), nullable=False),
        sa.Column("cold_blobs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "time", "event_id", name=op.f("pk_pull_event")),
        # Partitions are made when they are needed: see controlplane.analytics.partitions.
        postgresql_partition_by="RANGE (time)",
    )
    for name in _INDEXED:
        op.create_index(
            f"ix_pull_event_{name}", "pull_event", ["organization_id", f"{name}_id", "time"], unique=False
        )
    op.create_table(
        "pull_sum",
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("grain", sa.SmallInteger(), nullable=False),
        sa.Column("shape", sa.SmallInteger(), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("tag_id", sa.Integer(), nullable=False),
        sa.Column("customer_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("cold", sa.BigInteger(), nullable=False),
        sa.Column("bytes_sent", sa.BigInteger(), nullable=False),
        sa.Column("last_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "organization_id",
            "grain",
            "shape",
            "bucket",
            "artifact_id",
            "tag_id",
            "customer_id",
            "user_id",
            "kind",
            name=op.f("pk_pull_sum"),
        ),
    )
    for name in ("artifact", "customer"):
        op.create_index(
            f"ix_pull_sum_{name}",
            "pull_sum",
            ["organization_id", "grain", "shape", f"{name}_id", "bucket"],
            unique=False,
        )
