"""Which repositories somebody may see, in order."""

from bisect import bisect_right
from typing import Final

from dataplane.access.authorize import permit
from dataplane.access.principal import Principal
from dataplane.config.configuration import Configuration

# Sorts behind every character of a repository name.
_BEHIND: Final = "~"


class Catalog:
    """Cuts pages out of all repository names, which it sorts once for each configuration."""

    def __init__(self) -> None:
        self._configuration: Configuration | None = None
        self._names: list[str] = []

    def page(
        self, principal: Principal, configuration: Configuration, now: float, limit: int, last: str
    ) -> tuple[list[str], bool]:
        """Give up to `limit` names that come after `last` in ASCII order, and whether there are more.

        They are those of which `permit` permits something at `now`, in seconds since the epoch.
        """
        if self._configuration is not configuration:
            self._names = sorted(configuration.repositories)
            self._configuration = configuration
        organization = configuration.organizations.get(principal.organization_uid)
        prefix = "" if organization is None else f"{organization.organization_id}/"
        first = bisect_right(self._names, max(prefix, last))
        behind = bisect_right(self._names, prefix + _BEHIND)
        found: list[str] = []
        for index in range(first, behind):
            name = self._names[index]
            if permit(principal, name, configuration, now) is None:
                continue
            if len(found) == limit:
                return found, True
            found.append(name)
        return found, False
