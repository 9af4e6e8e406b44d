"""Etags."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from controlplane.api.errors import ApiError
from controlplane.api.etags import check_etag, etag
from controlplane.model.roles import Role

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_equal_content_has_one_etag() -> None:
    """However the database gives a value back."""
    assert etag("a", Role.ADMIN, NOON) == etag("a", 3, NOON.astimezone(timezone(timedelta(hours=2))))


def test_other_content_has_another() -> None:
    """Content, order and boundaries between values count; it is a weak one."""
    tags = {etag("a", "b"), etag("b", "a"), etag("ab", ""), etag("a", "b", NOON), etag("a", "b", 1)}
    assert len(tags) == 5
    assert all(tag.startswith('W/"') for tag in tags)


def test_checking() -> None:
    """None is no condition; another is refused, and the current one is told to programs."""
    check_etag("", 'W/"1"', "x")
    check_etag('W/"1"', 'W/"1"', "x")
    with pytest.raises(ApiError) as caught:
        check_etag('W/"0"', 'W/"1"', "x")
    assert caught.value.metadata == {"etag": 'W/"1"'}
