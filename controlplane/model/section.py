"""The parts of the configuration that nodes run, each with the revision at which it last changed."""

from enum import StrEnum


class Section(StrEnum):
    """The values are the fields of penstock.v1.Configuration."""

    ORGANIZATIONS = "organizations"
    CUSTOMERS = "customers"
    ARTIFACTS = "artifacts"
    TOKENS = "tokens"
    ENTITLEMENTS = "entitlements"

    @property
    def column(self) -> str:
        """The column of the singleton row with its revision."""
        return f"{self.value}_revision"
