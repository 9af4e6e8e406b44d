"""Collecting violations."""

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.validation import Violations


def test_nothing_wrong_is_nothing() -> None:
    """Values come out as they were parsed."""
    with Violations() as violations:
        assert violations.check("n", int, "7") == 7
        assert violations.check_text("t", "fine") == "fine"


def test_everything_is_collected_before_it_is_told() -> None:
    """One error for all, in the order of the checks."""
    violations = Violations()
    violations.check("n", int, "x")
    violations.check_text("t", "two\nlines")
    violations.add("u", "is wrong.")
    with pytest.raises(ApiError) as caught, violations:
        pass
    assert [item.field for item in caught.value.violations] == ["n", "t", "u"]


def test_another_error_is_not_hidden() -> None:
    """What broke inside goes on as it is."""
    violations = Violations()
    violations.add("u", "is wrong.")
    with pytest.raises(KeyError), violations:
        raise KeyError
