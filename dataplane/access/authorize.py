"""May this principal pull from this artifact?"""

from dataplane.access.principal import Principal
from dataplane.config.configuration import ArtifactEntry, Configuration


def artifact_for(principal: Principal, repository: str, configuration: Configuration) -> ArtifactEntry | None:
    """Find the artifact that is served under this repository name, if the principal may pull from it.

    None alike for one that does not exist and for one of another organization: nobody learns which.
    Every role may pull.
    """
    artifact = configuration.repositories.get(repository)
    if artifact is None:
        return None
    if principal.organization_uid and principal.organization_uid != artifact.organization_uid:
        return None
    return artifact
