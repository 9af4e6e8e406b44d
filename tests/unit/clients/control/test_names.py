"""Resource names, from what people write."""

import pytest

from clients.control import names
from clients.control.names import ArtifactPath, InvalidName


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("acme/redis", "organizations/acme/artifacts/redis"),
        ("acme/team/app", "organizations/acme/artifacts/team~app"),
        ("acme/a/b/c", "organizations/acme/artifacts/a~b~c"),
        ("organizations/acme/artifacts/team~app", "organizations/acme/artifacts/team~app"),
        # Not a resource name: an organization may be called so.
        ("organizations/acme", "organizations/organizations/artifacts/acme"),
    ],
)
def test_artifacts(text, name):
    """`/` in the path becomes `~`; the resource name itself is taken as well."""
    assert ArtifactPath.parse(text).name == name


def test_an_artifact_as_people_write_it():
    """The same from either form."""
    assert str(ArtifactPath.parse("organizations/acme/artifacts/team~app")) == "acme/team/app"


@pytest.mark.parametrize(
    "text", ["", "acme", "/", "acme/", "/redis", "a//b", "acme/redis:7", "acme/redis@sha256:x"]
)
def test_what_names_no_artifact(text):
    """Refused with an example."""
    with pytest.raises(InvalidName, match="acme/redis"):
        ArtifactPath.parse(text)


def test_tags():
    """As in a pull, where a port cannot be taken for a tag."""
    assert names.tag("acme/redis:7.2") == "organizations/acme/artifacts/redis/tags/7.2"
    for text in ("acme/redis", "acme/redis:", ":7", "acme:5000/redis"):
        with pytest.raises(InvalidName):
            names.tag(text)


def test_organizations_users_and_nodes():
    """By id, or by the whole name."""
    assert names.organization("acme") == names.organization("organizations/acme") == "organizations/acme"
    with pytest.raises(InvalidName, match=r"^'acme/x' names no organization: write it like acme\.$"):
        names.organization("acme/x")
    user = "organizations/acme/users/ci@example.com"
    assert names.user("acme", "ci@example.com") == names.user("acme", user) == user
    assert names.node("eu-1") == names.node("nodes/eu-1") == "nodes/eu-1"


@pytest.mark.parametrize("text", ["", "a/b", "organizations/", "organizations/globex/users/x"])
def test_what_names_nothing(text):
    """An empty or a longer path, and a user of another organization."""
    with pytest.raises(InvalidName):
        names.user("acme", text)
