"""Databases of both kinds, as the integration tests have them."""

from tests.integration.conftest import database, postgres_copies

__all__ = ["database", "postgres_copies"]
