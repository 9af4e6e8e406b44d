"""Cache policies of artifacts."""

import sqlalchemy as sa
from alembic import op

revision = "0007_cache_policy"
down_revision = "0006_tag_history"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("artifact", sa.Column("cache_policy", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("artifact", "cache_policy")
