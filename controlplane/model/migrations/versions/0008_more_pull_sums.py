"""Sums of pulls by token, client and address, and of users by artifact, made of the events that are kept."""

import sqlalchemy as sa
from alembic import op

revision = "0008_more_pull_sums"
down_revision = "0007_cache_policy"
branch_labels = None
depends_on = None

_OLD = ("artifact", "tag", "customer", "user")
_ALL = (*_OLD, "token", "address", "client")
_VALUES = ("count", "cold", "bytes_sent", "last_time")
_DAY = 86_400_000
_BY_DAY = 2
# Of each new series its number, and what it tells apart.
_SERIES = {
    6: ("customer", "user", "token"),
    7: ("customer", "client"),
    8: ("customer", "address"),
    9: ("artifact", "customer", "user"),
}


def upgrade() -> None:
    _widen()
    connection = op.get_bind()
    spans = connection.execute(
        sa.text("SELECT organization_id, min(time), max(time) FROM pull_event GROUP BY organization_id")
    ).all()
    for organization, first, last in spans:
        # A day at a time is sorted in memory, and stays below the time that a statement may take.
        for bucket in range(first // _DAY, last // _DAY + 1):
            span = {"owner": organization, "start": bucket * _DAY, "end": (bucket + 1) * _DAY}
            for shape, told in _SERIES.items():
                connection.execute(sa.text(_sums(shape, told, bucket)), span)


def downgrade() -> None:
    op.execute("DELETE FROM pull_sum WHERE shape > 5")
    if _is_postgresql():
        op.drop_constraint("pk_pull_sum", "pull_sum")
        for name in _ALL[len(_OLD) :]:
            op.drop_column("pull_sum", f"{name}_id")
        op.create_primary_key("pk_pull_sum", "pull_sum", _key(_OLD))
    else:
        _copy(_OLD, _listed(_OLD))


def _sums(shape: int, told: tuple[str, ...], bucket: int) -> str:
    values = ", ".join(f"{name}_id" if name in told else "0" for name in _ALL)
    return (
        f"INSERT INTO pull_sum (organization_id, grain, shape, bucket, {_listed(_ALL)}, kind,"  # noqa: S608 - of names above
        f" {', '.join(_VALUES)}) SELECT organization_id, {_BY_DAY}, {shape}, {bucket}, {values}, kind,"
        " count(*), sum(CASE WHEN cold_blobs > 0 THEN 1 ELSE 0 END), sum(bytes_sent), max(time)"
        " FROM pull_event WHERE organization_id = :owner AND time >= :start AND time < :end"
        f" GROUP BY organization_id, {_listed(told)}, kind"
    )


def _widen() -> None:
    added = _ALL[len(_OLD) :]
    if _is_postgresql():
        for name in added:
            column = sa.Column(f"{name}_id", sa.Integer(), nullable=False, server_default="0")
            op.add_column("pull_sum", column)
            op.alter_column("pull_sum", f"{name}_id", server_default=None)
        op.drop_constraint("pk_pull_sum", "pull_sum")
        op.create_primary_key("pk_pull_sum", "pull_sum", _key(_ALL))
    else:
        _copy(_ALL, ", ".join([_listed(_OLD), *("0" for _ in added)]))


def _copy(columns: tuple[str, ...], values: str) -> None:
    """Make SQLite's table anew: it cannot change a key."""
    for name in ("artifact", "customer"):
        op.drop_index(f"ix_pull_sum_{name}", "pull_sum")
    op.rename_table("pull_sum", "pull_sum_before")
    key, small = _key(columns), {"grain", "shape", "kind"}
    op.create_table(
        "pull_sum",
        *(
            sa.Column(name, sa.SmallInteger() if name in small else sa.Integer(), nullable=False)
            for name in key
        ),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in _VALUES),
        sa.PrimaryKeyConstraint(*key, name=op.f("pk_pull_sum")),
    )
    told = f"kind, {', '.join(_VALUES)}"
    op.execute(
        f"INSERT INTO pull_sum (organization_id, grain, shape, bucket, {_listed(columns)}, {told})"  # noqa: S608 - likewise
        f" SELECT organization_id, grain, shape, bucket, {values}, {told} FROM pull_sum_before"
    )
    op.drop_table("pull_sum_before")
    for name in ("artifact", "customer"):
        op.create_index(
            f"ix_pull_sum_{name}",
            "pull_sum",
            ["organization_id", "grain", "shape", f"{name}_id", "bucket"],
            unique=False,
        )


def _key(columns: tuple[str, ...]) -> list[str]:
    return ["organization_id", "grain", "shape", "bucket", *(f"{name}_id" for name in columns), "kind"]


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"{name}_id" for name in names)


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"
