"""Rules of entitlements: which tags they name, what is refused, and that equal ones are one."""

import gc
import weakref

import pytest

from clients.oci.tag_rule import ALL_TAGS, LIMIT, InvalidRule, TagRule


@pytest.mark.parametrize(
    ("patterns", "ranges", "named", "others"),
    [
        (["1.2.*"], [], ["1.2.0", "1.2.3-rc1"], ["1.20", "latest"]),
        ([], [">=1.2 <2"], ["1.2", "v1.9.9"], ["2.0.0", "latest", "1.3.0-rc1"]),
        (["latest", "edge"], ["^7"], ["latest", "edge", "7.4"], ["8", "lates"]),
    ],
)
def test_a_rule_names_what_one_of_its_parts_names(
    patterns: list[str], ranges: list[str], named: list[str], others: list[str]
) -> None:
    """Patterns and ranges are alternatives, and the answer is the same the second time."""
    rule = TagRule.of(patterns=patterns, version_ranges=ranges)
    for _ in range(2):
        assert [tag for tag in named if not rule.matches(tag)] == []
        assert [tag for tag in others if rule.matches(tag)] == []


def test_a_rule_of_all_tags_names_every_tag() -> None:
    """Those of later as well: no tag has to be known."""
    assert TagRule.of(all_tags=True) is ALL_TAGS
    assert ALL_TAGS.matches("anything")
    assert ALL_TAGS.named_by("anything") == "*"


def test_a_rule_says_which_part_of_it_names_a_tag() -> None:
    """Whoever explains a decision can quote it."""
    rule = TagRule.of(patterns=["edge"], version_ranges=["^7"])
    assert (rule.named_by("edge"), rule.named_by("7.1"), rule.named_by("8")) == ("edge", "^7", None)
    assert str(rule) == "edge, versions ^7"


def test_equal_rules_are_one_object() -> None:
    """A hundred thousand entitlements with few different rules cost few rules."""
    assert TagRule.of(patterns=["b", "a", "b"]) is TagRule.of(patterns=["a", "b"])
    assert TagRule.of(patterns=["a"]) is not TagRule.of(version_ranges=["1"])


def test_a_rule_that_nobody_uses_is_let_go() -> None:
    """Rules that were changed again and again do not pile up."""
    rule = weakref.ref(TagRule.of(patterns=["once-and-never-again"]))
    gc.collect()
    assert rule() is None


@pytest.mark.parametrize(
    ("all_tags", "patterns", "ranges"),
    [
        (False, [], []),
        (True, ["1.*"], []),
        (True, [], [">1"]),
        (False, ["a/b"], []),
        (False, [], ["newest"]),
        (False, [f"1.{number}" for number in range(LIMIT + 1)], []),
    ],
)
def test_what_is_no_rule_is_refused(all_tags: bool, patterns: list[str], ranges: list[str]) -> None:
    """Each time it is given, and not only the first time."""
    for _ in range(2):
        with pytest.raises(InvalidRule):
            TagRule.of(all_tags=all_tags, patterns=patterns, version_ranges=ranges)
