"""Resource names: one text for each, and sentences for all others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.model.naming import (
    ArtifactName,
    ArtifactUid,
    InvalidName,
    NodeName,
    OrganizationName,
    SyncJobName,
    TagName,
    TokenName,
    UserName,
    check_email,
    check_slug,
    new_uid,
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


@pytest.mark.parametrize("text", ["a", "a" * 64, "-acme", "acme-", "ac--me", "ac..me", "a_.b", "Acme", "ä1"])
def test_slugs_that_are_none(text: str) -> None:
    """The rule of the proto file, at its edges."""
    with pytest.raises(InvalidName, match="like acme"):
        check_slug(text)


@pytest.mark.parametrize("text", ["a1", "a" * 63, "a-b.c_d", "42"])
def test_slugs_at_the_edges(text: str) -> None:
    """The rule of the proto file, just inside."""
    assert check_slug(text) == text


def test_addresses_are_lower_case() -> None:
    """Addresses are compared without regard to case."""
    assert check_email("CI@Example.COM") == "ci@example.com"


@pytest.mark.parametrize("text", ["", "ci", "@x", "x@", "a b@c", "a/b@c", "a@b@c", f"{'a' * 250}@b.cd"])
def test_addresses_that_are_none(text: str) -> None:
    """What could not be told apart in a resource name is refused."""
    with pytest.raises(InvalidName, match=r"ci@example\.com"):
        check_email(text)


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
