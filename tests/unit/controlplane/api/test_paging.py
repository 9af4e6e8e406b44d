"""Page sizes and page tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.errors import ApiError
from controlplane.api.paging import number, page, text
from controlplane.api.validation import Violations
from penstock.v1.artifact_pb2 import ListTagsRequest


def _page(size: int = 0, token: str = "", scope: str = "tags") -> tuple[int, str | None]:
    with Violations() as violations:
        wanted = page(ListTagsRequest(page_size=size, page_token=token), scope, violations, text)
    return wanted.size, wanted.after


def _token(key: str, scope: str = "tags") -> str:
    with Violations() as violations:
        wanted = page(ListTagsRequest(page_size=1), scope, violations, text)
    return wanted.cut([key, "more"], str)[1]


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)])
def test_sizes_are_bounded(asked: int, given: int) -> None:
    """Unset is 50, too much is 1000."""
    assert _page(asked) == (given, None)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1))
def test_tokens_carry_the_key(key: str) -> None:
    """The next page begins after the last row, whatever its key."""
    assert _page(token=_token(key)) == (50, key)


def test_the_last_page_has_no_token() -> None:
    """Exactly as many rows as wanted are the end."""
    with Violations() as violations:
        wanted = page(ListTagsRequest(page_size=2), "tags", violations, text)
    assert wanted.cut(["a", "b"], str) == (["a", "b"], "")
    rows, token = wanted.cut(["a", "b", "c"], str)
    assert (rows, bool(token)) == (["a", "b"], True)


@pytest.mark.parametrize(
    "token", ["x", "AAAA", "!!!!", "ä", _token("7.2")[:-1], _token("7.2") + "A", "=" * 9]
)
def test_other_tokens_are_violations(token: str) -> None:
    """Cut off, made up, or not even base64."""
    with pytest.raises(ApiError, match="page_token: is not one of this list"):
        _page(token=token)


def test_tokens_are_of_one_list() -> None:
    """A token of another parent is refused."""
    with pytest.raises(ApiError, match="page_token"):
        _page(token=_token("7.2", "organizations/a"), scope="organizations/b")


def test_both_mistakes_are_told_at_once() -> None:
    """A negative size does not hide a wrong token."""
    with pytest.raises(ApiError) as caught:
        _page(-1, "x")
    assert [item.field for item in caught.value.violations] == ["page_size", "page_token"]


@pytest.mark.parametrize("key", ["", "x", "-1", "+1", "1.0", " 1", "1_0", "\u0661", "2147483648", "9" * 5000])
def test_what_no_row_is_numbered_with_is_refused(key: str) -> None:
    """Ids and offsets are small whole numbers in ASCII: what else there is a database would refuse."""
    with pytest.raises(ValueError, match="not one of this list"):
        number(key)


def test_numbers_are_read_as_they_were_written() -> None:
    """Up to the largest that there is."""
    assert [number(str(each)) for each in (0, 1, 2**31 - 1)] == [0, 1, 2**31 - 1]
