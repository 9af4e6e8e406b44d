"""Under which lease an artifact is being emptied."""

import sqlalchemy as sa
from alembic import op

revision = "0015_emptied_under"
down_revision = "0014_referrers_due"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default, so that replicas of the version before can go on until they are replaced.
    op.add_column("artifact", sa.Column("emptied_under", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("artifact", "emptied_under")
