"""When old pulls were last looked for."""

import sqlalchemy as sa
from alembic import op
from sqlmodel.sql import sqltypes

revision = "0012_pulls_swept"
down_revision = "0011_audit_outcome"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("singleton", sa.Column("pulls_swept_time", sqltypes.UTCDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("singleton", "pulls_swept_time")
