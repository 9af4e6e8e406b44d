"""Lists of one organization, or of all for administrators of the installation."""

from typing import Final

from controlplane.api.caller import caller
from controlplane.api.errors import denied
from controlplane.model.naming import OrganizationName

_EVERYWHERE: Final = "organizations/-"


def parse_parent(text: str) -> OrganizationName | None:
    """Read the parent of such a list; None for all organizations, and for what is of none.

    Raises ValueError, and ApiError PERMISSION_DENIED where the caller may not see all.
    """
    if text != _EVERYWHERE:
        return OrganizationName.parse(text)
    if not caller().of_installation:
        raise denied("ROLE_TOO_LOW", f"{_EVERYWHERE} is for administrators of the installation.")
    return None
