"""The first tables: organizations, users, tokens, nodes, artifacts and what is known of them."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "node",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("node_id", sqltypes.AutoString(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("last_seen_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("config_error", sqltypes.AutoString(), nullable=False),
        sa.Column("version", sqltypes.AutoString(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_node")),
        sa.UniqueConstraint("node_id", name=op.f("uq_node_node_id")),
        sa.UniqueConstraint("sha256", name=op.f("uq_node_sha256")),
        sa.UniqueConstraint("uid", name=op.f("uq_node_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "organization",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("slug", sqltypes.AutoString(), nullable=False),
        sa.Column("display_name", sqltypes.AutoString(), nullable=False),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("update_time", sqltypes.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
        sa.UniqueConstraint("slug", name=op.f("uq_organization_slug")),
        sa.UniqueConstraint("uid", name=op.f("uq_organization_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "singleton",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("config_revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_singleton")),
    )
    op.create_table(
        "artifact",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=False),
        sa.Column("path", sqltypes.AutoString(), nullable=False),
        sa.Column("display_name", sqltypes.AutoString(), nullable=False),
        sa.Column("upstream", sqltypes.AutoString(), nullable=False),
        sa.Column("plain_http", sa.Boolean(), nullable=False),
        sa.Column("content_revision", sa.BigInteger(), nullable=False),
        sa.Column("last_sync_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("last_sync_error", sqltypes.AutoString(), nullable=False),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("update_time", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_artifact_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifact")),
        sa.UniqueConstraint("organization_id", "path", name=op.f("uq_artifact_organization_id_path")),
        sa.UniqueConstraint("uid", name=op.f("uq_artifact_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "user_account",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("organization_id", sa.Integer(), nullable=True),
        sa.Column("email", sqltypes.AutoString(), nullable=False),
        sa.Column("display_name", sqltypes.AutoString(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=False),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("update_time", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"],
            ["organization.id"],
            name=op.f("fk_user_account_organization_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_user_account")),
        sa.UniqueConstraint("organization_id", "email", name=op.f("uq_user_account_organization_id_email")),
        sa.UniqueConstraint("uid", name=op.f("uq_user_account_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "access_token",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("hint", sqltypes.AutoString(), nullable=False),
        sa.Column("label", sqltypes.AutoString(), nullable=False),
        sa.Column("role", sa.Integer(), nullable=True),
        sa.Column("expire_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name=op.f("fk_access_token_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_token")),
        sa.UniqueConstraint("sha256", name=op.f("uq_access_token_sha256")),
        sa.UniqueConstraint("uid", name=op.f("uq_access_token_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_access_token_user_id"), "access_token", ["user_id"], unique=False)
    op.create_table(
        "edge",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("parent", sqltypes.AutoString(), nullable=False),
        sa.Column("child", sqltypes.AutoString(), nullable=False),
        sa.Column("kind", sqltypes.AutoString(), nullable=False),
        sa.Column("media_type", sqltypes.AutoString(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("platform", sqltypes.AutoString(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_edge_artifact_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("artifact_id", "parent", "child", name=op.f("pk_edge")),
    )
    op.create_index("ix_edge_child", "edge", ["artifact_id", "child"], unique=False)
    op.create_table(
        "manifest",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("digest", sqltypes.AutoString(), nullable=False),
        sa.Column("media_type", sqltypes.AutoString(), nullable=False),
        sa.Column("artifact_type", sqltypes.AutoString(), nullable=False),
        sa.Column("subject", sqltypes.AutoString(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_manifest_artifact_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("artifact_id", "digest", name=op.f("pk_manifest")),
    )
    op.create_index("ix_manifest_subject", "manifest", ["artifact_id", "subject"], unique=False)
    op.create_table(
        "sync_job",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("uid", sqltypes.AutoString(), nullable=False),
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.Integer(), nullable=False),
        sa.Column("requested_by", sqltypes.AutoString(), nullable=False),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("start_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("end_time", sqltypes.UTCDateTime(), nullable=True),
        sa.Column("error", sqltypes.AutoString(), nullable=False),
        sa.Column("tags_total", sa.Integer(), nullable=False),
        sa.Column("tags_done", sa.Integer(), nullable=False),
        sa.Column("tags_new", sa.Integer(), nullable=False),
        sa.Column("tags_moved", sa.Integer(), nullable=False),
        sa.Column("tags_unchanged", sa.Integer(), nullable=False),
        sa.Column("tags_failed", sa.Integer(), nullable=False),
        sa.Column("tags_removed", sa.Integer(), nullable=False),
        sa.Column("manifests_fetched", sa.Integer(), nullable=False),
        sa.Column("tag_errors", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_sync_job_artifact_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_job")),
        sa.UniqueConstraint("uid", name=op.f("uq_sync_job_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sync_job_artifact", "sync_job", ["artifact_id", "id"], unique=False)
    op.create_table(
        "tag",
        sa.Column("artifact_id", sa.Integer(), nullable=False),
        sa.Column("name", sqltypes.AutoString(), nullable=False),
        sa.Column("digest", sqltypes.AutoString(), nullable=False),
        sa.Column("create_time", sqltypes.UTCDateTime(), nullable=False),
        sa.Column("update_time", sqltypes.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifact.id"], name=op.f("fk_tag_artifact_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("artifact_id", "name", name=op.f("pk_tag")),
    )
    op.create_index("ix_tag_digest", "tag", ["artifact_id", "digest"], unique=False)
    op.execute("INSERT INTO singleton (id, config_revision) VALUES (1, 1)")
