"""Patterns of tags: what they match, what is refused, and that none of them runs for long."""

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.pattern import InvalidPattern, TagPattern


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("1.2.*", ["1.2.0", "1.2.", "1.2.3-rc1"], ["1.2", "11.2.0", "1x2.0"]),
        ("v?", ["v1", "v."], ["v", "v12"]),
        ("*", ["", "anything"], []),
        ("*-alpine", ["7-alpine", "-alpine"], ["alpine", "7-alpine3"]),
        ("7*alpine*", ["7alpine", "7.2-alpine3.19"], ["7", "8-alpine"]),
        ("[0-9]*", ["1.0"], ["v1", ""]),
        ("[!0-9]*", ["v1", "-"], ["1.0"]),
        ("a**b", ["ab", "acb"], ["a"]),
        ("1.2.3", ["1.2.3"], ["1.2.30", "1.2"]),
        ("*a*a", ["aa", "xaxa"], ["a", "ab"]),
    ],
)
def test_a_pattern_matches_whole_tags(pattern: str, matching: list[str], other: list[str]) -> None:
    """Each pattern takes what a user of shells expects, and nothing else."""
    parsed = TagPattern.parse(pattern)
    assert [tag for tag in matching if not parsed.matches(tag)] == []
    assert [tag for tag in other if parsed.matches(tag)] == []


@pytest.mark.parametrize(
    "pattern", ["", "a/b", "a b", "[", "[]", "[z-a]", "a]", "(a|b)", "é", "x" * 257, "[!]"]
)
def test_what_is_no_pattern_is_refused_with_an_example(pattern: str) -> None:
    """The sentence can be shown to whoever typed it."""
    with pytest.raises(InvalidPattern, match=r"1\.2\.\*|\[a-z\]"):
        TagPattern.parse(pattern)


@given(
    st.text("ab*?.", min_size=1, max_size=12),
    st.text("ab.", max_size=20),
)
def test_matching_agrees_with_the_shell(pattern: str, tag: str) -> None:
    """For wildcards without sets the answer is that of fnmatch."""
    assert TagPattern.parse(pattern).matches(tag) == fnmatch.fnmatchcase(tag, pattern)


@pytest.mark.timeout(5)
def test_a_pattern_made_to_backtrack_ends() -> None:
    """The longest pattern of the worst kind is answered; one that backtracks would not end in years."""
    assert not TagPattern.parse("*a" * 128).matches("a" * 127 + "b")
