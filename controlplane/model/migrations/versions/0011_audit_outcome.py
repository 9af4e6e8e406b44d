"""What came of requests that make many changes."""

import sqlalchemy as sa
from alembic import op

revision = "0011_audit_outcome"
down_revision = "0010_redirected_bytes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("audit_record", sa.Column("outcome", sa.JSON(), nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("audit_record", "outcome")
