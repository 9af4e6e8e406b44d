"""The other name of what was changed, so that changes of users are found by both when they are gone."""

import sqlalchemy as sa
from alembic import op

revision = "0017_audit_alias"
down_revision = "0016_passed_over"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # With a default, so that replicas of the version before can go on until they are replaced.
    op.add_column("audit_record", sa.Column("alias", sa.String(), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("audit_record", "alias")
