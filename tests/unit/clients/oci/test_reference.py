"""Names, tags and references follow the grammar of the distribution specification."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.digest import Digest
from clients.oci.reference import (
    InvalidReference,
    ReferencePart,
    check_repository,
    check_tag,
    parse_pulled,
    parse_reference,
)

# As the specification writes them.
NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*", re.ASCII)
TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)


@pytest.mark.parametrize(
    "name", ["redis", "library/redis", "a/b/c/d", "a--b", "a__b", "a.b_c-d/0", "a" * 255]
)
def test_repository_names_are_taken(name: str) -> None:
    """Names of the grammar come back as they are."""
    assert check_repository(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "A",
        "a b",
        "a___b",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a/-b",
        "a/../b",
        "ä",
        "a\n",
    ],
)
def test_other_repository_names_are_refused(name: str) -> None:
    """Others are refused as names."""
    with pytest.raises(InvalidReference) as caught:
        check_repository(name)
    assert caught.value.reason is ReferencePart.NAME


@pytest.mark.parametrize("name", ["a:b", "a@b", "a%2fb", "a" * 256, "a" * 1_000_000])
def test_hostile_repository_names_are_refused(name: str) -> None:
    """Others are refused as names, with a bounded sentence."""
    with pytest.raises(InvalidReference) as caught:
        check_repository(name)
    assert caught.value.reason is ReferencePart.NAME
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("tag", ["1", "latest", "_x", "V1.2-rc.1", "a" * 128])
def test_tags_are_taken(tag: str) -> None:
    """Tags of the grammar come back as they are, also as references."""
    assert check_tag(tag) == tag
    assert parse_reference(tag) == tag


@pytest.mark.parametrize("tag", ["", ".a", "-a", "a b", "a/b", "a+b", "ü", "a\n", "a" * 129])
def test_other_tags_are_refused(tag: str) -> None:
    """Others are refused as tags."""
    with pytest.raises(InvalidReference) as caught:
        parse_reference(tag)
    assert caught.value.reason is ReferencePart.TAG


def test_a_reference_with_a_colon_is_a_digest() -> None:
    """A digest comes back as one; with a colon, nothing else is taken."""
    digest = Digest.of(b"")
    assert parse_reference(str(digest)) == digest
    with pytest.raises(InvalidReference) as caught:
        parse_reference("sha256:abc")
    assert caught.value.reason is ReferencePart.DIGEST


@given(st.one_of(st.text(max_size=40), st.text("abz09._-/", max_size=40)))
def test_names_and_tags_agree_with_the_specification(text: str) -> None:
    """Exactly what the specification's own expressions match is taken."""
    for check, grammar in ((check_repository, NAME), (check_tag, TAG)):
        try:
            check(text)
        except InvalidReference:
            assert not grammar.fullmatch(text)
        else:
            assert grammar.fullmatch(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acme/app:1.2.3", ("acme/app", "1.2.3")),
        ("acme/app", ("acme/app", "latest")),
        (f"acme/app@sha256:{'0' * 64}", ("acme/app", Digest("sha256", "0" * 64))),
    ],
)
def test_what_is_pulled_is_a_name_and_a_reference(text: str, expected: tuple[str, str | Digest]) -> None:
    """The tag may be left out."""
    assert parse_pulled(text) == expected


@pytest.mark.parametrize("text", ["", "UPPER", "acme/redis:", "acme/redis@sha256:1", "acme/../redis:1"])
def test_what_cannot_be_pulled_is_refused(text: str) -> None:
    """The sentence can be shown to whoever typed it."""
    with pytest.raises(InvalidReference, match=r"\w"):
        parse_pulled(text)
