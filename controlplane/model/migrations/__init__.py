"""The tables' history, for Alembic; applied by `controlplane.model.migrate`."""
