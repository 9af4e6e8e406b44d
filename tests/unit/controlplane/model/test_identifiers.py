"""Ids at the edges of what they may be."""

import pytest

from controlplane.model.identifiers import InvalidName, check_email, check_slug


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
