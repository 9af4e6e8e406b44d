"""What syncs go by and count: policies, labels, what is missing upstream, where tags stood before."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0003_sync"
down_revision = "0002_credentials"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Defaults of the server, so that rows which are there already get them without a rebuilt table.
    for column in (
        sa.Column("labels", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("sync_schedule", sqltypes.AutoString(), server_default=sa.text("''"), nullable=False),
        sa.Column("sync_paused", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("sync_policy", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("tags_seen_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("referrers_seen_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("next_sync_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("planned_by", sqltypes.AutoString(), server_default=sa.text("''"), nullable=False),
        sa.Column("sync_fence", sa.BigInteger(), server_default="0", nullable=False),
    ):
        op.add_column("artifact", column)
    for column in (
        sa.Column("seen_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("missing_runs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("left_out", sa.Boolean(), server_default=sa.false(), nullable=False),
    ):
        op.add_column("tag", column)
    for column in (
        sa.Column("tags_skipped", sa.Integer(), server_default="0", nullable=False),
        sa.Column("tags_missing", sa.Integer(), server_default="0", nullable=False),
        sa.Column("requests", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("force_removals", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("owner", sqltypes.AutoString(), server_default=sa.text("''"), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
    ):
        op.add_column("sync_job", column)
    op.create_index("ix_artifact_next_sync_time", "artifact", ["next_sync_time"], unique=False)
    op.create_index("ix_sync_job_state", "sync_job", ["state", "id"], unique=False)
    op.create_index("ix_sync_job_end_time", "sync_job", ["end_time"], unique=False)
    op.create_table(
        "sync_lease",
        sa.Column("name", sqltypes.AutoString(), nullable=False),
        sa.Column("token", sqltypes.AutoString(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sync_lease")),
    )
    op.create_table(
        "tag_revision",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("name", sqltypes.AutoString(), nullable=False),
        sa.Column("digest", sqltypes.AutoString(), nullable=False),
        sa.Column("start_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("end_time", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_tag_revision_artifact_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tag_revision")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_tag_revision_tag", "tag_revision", ["artifact_id", "name", "id"], unique=False)
