"""Of which tags no run of sync has asked for the referrers yet."""

import sqlalchemy as sa
from alembic import op

revision = "0014_referrers_due"
down_revision = "0013_use_report"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default, so that replicas of the version before can go on until they are replaced.
    op.add_column("tag", sa.Column("referrers_due", sa.Boolean(), nullable=False, server_default=sa.false()))
    # Where that was so before, it was said of the artifact as a whole.
    op.execute(
        "UPDATE tag SET referrers_due = true WHERE artifact_id IN"
        " (SELECT id FROM artifact WHERE referrers_seen_time IS NULL)"
    )


def downgrade() -> None:
    op.drop_column("tag", "referrers_due")
