"""Versions in tags and ranges of them: order, what is within, what is refused."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.version import InvalidRange, Version, VersionRange


def version(tag: str) -> Version:
    """The version of a tag that has one."""
    found = Version.parse(tag)
    assert found is not None
    return found


def test_precedence_is_that_of_the_specification() -> None:
    """The chain of examples of SemVer 2.0.0, section 11, and what comes around it."""
    chain = [
        "0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
        "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "v1.0.1", "1.2", "1.10", "2",
    ]  # fmt: skip
    versions = [version(tag) for tag in chain]
    assert all(low < high for low, high in itertools.pairwise(versions))


@pytest.mark.parametrize(
    "tag", ["latest", "1.2.3.4", "01.2", "1.2.3-", "1.2-01", "v", "", "1..2", "1.2.3-a..b"]
)
def test_other_tags_are_no_versions(tag: str) -> None:
    """They are never within a range."""
    assert Version.parse(tag) is None


@pytest.mark.parametrize(
    ("text", "within", "outside"),
    [
        (">=1.2 <2", ["1.2", "1.2.0", "1.9.9", "v1.3"], ["1.1.9", "2", "2.0.0-rc.1"]),
        (">=1.2, <2", ["1.5"], ["2.1"]),
        ("^1.4", ["1.4.0", "1.99"], ["1.3.9", "2.0.0"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "0.2.2"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^0", ["0.0.1", "0.9"], ["1.0.0"]),
        ("~1.4.2", ["1.4.2", "1.4.9"], ["1.5.0", "1.4.1"]),
        ("~1", ["1.9"], ["2.0"]),
        ("1.2.x", ["1.2.0", "1.2.77"], ["1.3.0", "1.1"]),
        ("1.2", ["1.2.9"], ["1.3"]),
        ("=1.2.3", ["1.2.3"], ["1.2.4"]),
        (">1.2", ["1.3"], ["1.2.9"]),
        ("<=1.2", ["1.2.9"], ["1.3"]),
        ("<=1.2.3", ["1.2.3"], ["1.2.4"]),
        ("*", ["0.0.1", "9"], ["1.0.0-rc.1"]),
        ("1.x || >=3", ["1.7", "3.0"], ["2.0"]),
        (">=1.2.3-rc.1", ["1.2.3-rc.2", "1.2.3", "2.0"], ["1.2.3-alpha", "1.3.0-rc.1"]),
    ],
)
def test_a_range_holds_what_npm_and_cargo_say(text: str, within: list[str], outside: list[str]) -> None:
    """Each form of comparison, with the edges of what it means."""
    parsed = VersionRange.parse(text)
    assert [tag for tag in within if not parsed.contains(version(tag))] == []
    assert [tag for tag in outside if parsed.contains(version(tag))] == []


@pytest.mark.parametrize(
    "text", ["", " ", ">=", "1.2 ||", "|| 1", "latest", ">x", "1.2.3.4", ">>1", "1-rc", "a" * 300]
)
def test_what_is_no_range_is_refused_with_an_example(text: str) -> None:
    """The sentence can be shown to whoever typed it."""
    with pytest.raises(InvalidRange, match=r">=1\.2 <2"):
        VersionRange.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_a_range_or_refused(text: str) -> None:
    """Nothing else comes out of the parser."""
    try:
        parsed = VersionRange.parse(text)
    except InvalidRange:
        return
    parsed.contains(version("1.2.3"))
