"""Resource names: one text for each, and sentences for all others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.identifiers import InvalidName, new_uid
from controlplane.model.naming import (
    ArtifactName,
    ArtifactUid,
    NodeName,
    OrganizationName,
    SyncJobName,
    TagName,
    TokenName,
    UserName,
    parse_artifact,
)

UID = "01234567-89ab-4cde-8f01-23456789abcd"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (OrganizationName, "organizations/acme"),
        (OrganizationName, "organizations/acme-inc.eu_1"),
        (ArtifactName, "organizations/acme/artifacts/redis"),
        (ArtifactName, "organizations/acme/artifacts/team~app"),
        (TagName, "organizations/acme/artifacts/team~app/tags/7.2"),
        (TagName, "organizations/acme/artifacts/redis/tags/_"),
        (SyncJobName, f"organizations/acme/artifacts/redis/syncJobs/{UID}"),
        (UserName, f"organizations/acme/users/{UID}"),
        (UserName, "organizations/acme/users/ci@example.com"),
        (UserName, "organizations/acme/users/-"),
        (TokenName, f"organizations/acme/users/{UID}/tokens/{UID}"),
        (NodeName, "nodes/eu-west-1a"),
    ],
)
def test_names_are_written_as_they_were_read(kind: type[OrganizationName], text: str) -> None:
    """Parsing and formatting are each other's inverse."""
    assert str(kind.parse(text)) == text


def test_artifact_paths_are_repositories() -> None:
    """What is `~` in a name is `/` in the repository."""
    name = ArtifactName.parse("organizations/acme/artifacts/team~app")
    assert (name.path, name.repository) == ("team/app", "acme/team/app")
    assert ArtifactName.of("acme", "team/app") == ArtifactName.of("acme", "team~app") == name


def test_artifacts_may_be_named_by_uid() -> None:
    """The second form holds nothing but the uid."""
    assert parse_artifact(f"artifacts/{UID}") == ArtifactUid(UID)
    assert parse_artifact("organizations/a1/artifacts/x") == ArtifactName("a1", "x")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (OrganizationName, ""),
        (OrganizationName, "acme"),
        (OrganizationName, "organizations/"),
        (OrganizationName, "organizations/ACME"),
        (OrganizationName, "organizations/acme/"),
        (OrganizationName, "organisations/acme"),
        (ArtifactName, "organizations/acme/artifacts/"),
        (ArtifactName, "organizations/acme/artifacts/team/app"),
        (ArtifactName, "organizations/acme/artifacts/.."),
        (ArtifactName, "organizations/acme/artifacts/App"),
        (ArtifactName, "organizations/acme/artifacts/~app"),
        (ArtifactName, f"organizations/acme/artifacts/{'x' * 251}"),
        (TagName, "organizations/acme/artifacts/redis/tags/.hidden"),
        (TagName, f"organizations/acme/artifacts/redis/tags/{'x' * 129}"),
        (UserName, "organizations/acme/users/nobody"),
        (TokenName, f"organizations/acme/users/{UID}/tokens/1"),
        (NodeName, "nodes/EU"),
        (NodeName, f"nodes/{'x' * 64}"),
    ],
)
def test_other_texts_are_refused(kind: type[OrganizationName], text: str) -> None:
    """A sentence comes back, of bounded length."""
    with pytest.raises(InvalidName) as caught:
        kind.parse(text)
    assert 20 < len(str(caught.value)) < 300
    assert str(caught.value).endswith(".")


@given(st.text(max_size=400))
def test_no_text_breaks_a_parser(text: str) -> None:
    """Whatever comes is a name or InvalidName."""
    for parse in (OrganizationName.parse, parse_artifact, TagName.parse, UserName.parse, NodeName.parse):
        try:
            assert str(parse(text)).lower() == text.lower()
        except InvalidName:
            continue


def test_new_uids_are_names() -> None:
    """What is made for rows can be named."""
    assert str(ArtifactUid(new_uid())) != str(ArtifactUid(new_uid()))
    parse_artifact(f"artifacts/{new_uid()}")
