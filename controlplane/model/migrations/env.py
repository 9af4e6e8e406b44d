"""Runs migrations in the transaction that `controlplane.model.migrate` opened."""

from alembic import context

from controlplane.model.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    user_module_prefix="sqltypes.",
    # SQLite changes columns only by copying the table.
    render_as_batch=True,
)
context.run_migrations()
