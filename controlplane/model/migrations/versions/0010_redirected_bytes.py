"""How many bytes clients were sent elsewhere for, of each pull and sum; of those before, it is not known."""

import sqlalchemy as sa
from alembic import op

revision = "0010_redirected_bytes"
down_revision = "0009_refused_sign_ins"
branch_labels = None
depends_on = None

_TABLES = ("pull_event", "pull_sum")


def upgrade() -> None:
    for table in _TABLES:
        # With a default, so that replicas of the version before can go on until they are replaced.
        op.add_column(
            table, sa.Column("bytes_redirected", sa.BigInteger(), nullable=False, server_default="0")
        )


def downgrade() -> None:
    for table in _TABLES:
        op.drop_column(table, "bytes_redirected")
