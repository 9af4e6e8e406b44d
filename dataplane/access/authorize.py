"""May this principal pull from this artifact, and what of it?"""

from typing import NamedTuple

from dataplane.access.principal import Principal
from dataplane.access.rules import Rules
from dataplane.config.configuration import ArtifactEntry, Configuration


class Permit(NamedTuple):
    """What a principal may have of an artifact."""

    artifact: ArtifactEntry
    rules: Rules | None
    """What names the tags; the principal may have nothing but what these reach. None for everything."""


def permit(principal: Principal, repository: str, configuration: Configuration, now: float) -> Permit | None:
    """Find the artifact that is served under this repository name, and what the principal may have of it.

    None alike for one that does not exist, for one of another organization and for one that a customer is
    not entitled to, by `now` (seconds since the epoch): nobody learns which. Every role may pull.
    """
    artifact = configuration.repositories.get(repository)
    if artifact is None:
        return None
    owner = principal.organization_uid
    if not owner:
        return Permit(artifact, None)
    if owner != artifact.organization_uid:
        return None
    customer = principal.customer_uid
    if not customer or not configuration.organizations[owner].entitled_only:
        return Permit(artifact, None)
    entitled = configuration.entitled.get(customer)
    rules = None if entitled is None else entitled.rules(artifact.uid, now)
    return None if rules is None else Permit(artifact, rules)
