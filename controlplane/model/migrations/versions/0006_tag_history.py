"""An index by which what tags stood for long ago is found, and forgotten."""

from alembic import op

revision = "0006_tag_history"
down_revision = "0005_customers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_tag_revision_end_time", "tag_revision", ["end_time"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_tag_revision_end_time", table_name="tag_revision")
