"""Whose tokens the refused sign-ins were tried with."""

import sqlalchemy as sa
from alembic import op

revision = "0009_refused_sign_ins"
down_revision = "0008_more_pull_sums"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("refused_sign_in", sa.Column("organization_id", sa.Integer(), nullable=True))
    op.create_index(
        "ix_refused_sign_in_organization", "refused_sign_in", ["organization_id", "last_time"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_refused_sign_in_organization", "refused_sign_in")
    op.drop_column("refused_sign_in", "organization_id")
