"""Who may pull from which artifact."""

import pytest

from dataplane.access.authorize import artifact_for
from dataplane.access.principal import Principal
from dataplane.config.draft import from_message
from penstock.v1 import config_pb2

CONFIGURATION = from_message(
    config_pb2.Configuration(
        revision=1,
        organizations=[
            config_pb2.OrganizationConfig(uid="org-1", organization_id="acme"),
            config_pb2.OrganizationConfig(uid="org-2", organization_id="globex"),
        ],
        artifacts=[
            config_pb2.ArtifactConfig(uid="a", organization_uid="org-1", repository="acme/app"),
            config_pb2.ArtifactConfig(uid="b", organization_uid="org-1", repository="acme/app/sub"),
            config_pb2.ArtifactConfig(uid="c", organization_uid="org-2", repository="globex/app"),
        ],
    )
)


@pytest.mark.parametrize("role", [1, 2, 3])
@pytest.mark.parametrize(
    ("organization", "repository", "uid"),
    [
        ("org-1", "acme/app", "a"),
        ("org-1", "acme/app/sub", "b"),
        ("org-1", "acme/ap", None),
        ("org-1", "acme/app/other", None),
        ("org-1", "acme", None),
        ("org-1", "globex/app", None),
        ("org-2", "globex/app", "c"),
        ("org-2", "acme/app", None),
        ("org-3", "acme/app", None),
        ("", "acme/app", "a"),
        ("", "globex/app", "c"),
        ("", "nobody/app", None),
    ],
)
def test_an_artifact_is_found_within_ones_organization(
    organization: str, repository: str, uid: str | None, role: int
) -> None:
    """Another organization's looks like none; the installation's administrator finds all."""
    principal = Principal("token", "user", organization, role, None)
    found = artifact_for(principal, repository, CONFIGURATION)
    assert (found.uid if found else None) == uid
