"""What of its configuration a node goes on without."""

import sqlalchemy as sa
from alembic import op

revision = "0016_passed_over"
down_revision = "0015_emptied_under"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With defaults, so that replicas of the version before can go on until they are replaced.
    op.add_column("node", sa.Column("passed_over_count", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("node", sa.Column("passed_over", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("node", "passed_over")
    op.drop_column("node", "passed_over_count")
