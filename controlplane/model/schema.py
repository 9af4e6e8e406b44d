"""All tables of the control plane, whoever else imports which: what is not imported is no table."""

from typing import Final

from sqlmodel import SQLModel

import controlplane.model.access_tables
import controlplane.model.pull_tables
import controlplane.model.sync_tables  # noqa: F401 - these import the others

METADATA: Final = SQLModel.metadata
