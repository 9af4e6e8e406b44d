"""Which artifacts a label selector selects."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.label_selector import LabelSelector

LABELS = {"team": "web", "tier": "", "example.com/env": "prod"}


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        ("", True),
        ("  ", True),
        ("team=web", True),
        ("team==web", True),
        ("team = web", True),
        ("team=db", False),
        ("team!=db", True),
        ("team!=web", False),
        ("owner!=web", True),
        ("owner=web", False),
        ("team", True),
        ("tier", True),
        ("tier=", True),
        ("owner", False),
        ("!owner", True),
        ("! owner", True),
        ("!team", False),
        ("example.com/env=prod", True),
        ("team=web,example.com/env=prod", True),
        ("team=web, example.com/env!=prod", False),
        ("team,!owner,tier!=x", True),
    ],
)
def test_all_terms_must_hold(selector: str, selected: bool) -> None:
    """As with kubectl."""
    assert LabelSelector.parse(selector).matches(LABELS) == selected


@pytest.mark.parametrize("selector", ["team=", "team"])
def test_an_empty_value_is_a_value(selector: str) -> None:
    """And no label is not an empty one."""
    assert not LabelSelector.parse(selector).matches({})


@pytest.mark.parametrize(
    "selector",
    ["team=web,", ",", "=web", "team=a=b", "te am", "team in (a)", "!", "!team=web", "-a", "x" * 3000],
)
def test_what_is_no_selector_is_refused(selector: str) -> None:
    """With a sentence that shows how it is written."""
    with pytest.raises(ValueError, match=r"key=value|2000"):
        LabelSelector.parse(selector)


@given(st.text(max_size=50))
def test_whatever_is_written_is_a_selector_or_refused(text: str) -> None:
    """Nothing else is raised."""
    with suppress(ValueError):
        LabelSelector.parse(text).matches(LABELS)
