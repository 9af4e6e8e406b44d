"""Which report of used tokens a node sent last."""

import sqlalchemy as sa
from alembic import op

revision = "0013_use_report"
down_revision = "0012_pulls_swept"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("node", sa.Column("use_report", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("node", "use_report")
