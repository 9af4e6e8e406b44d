"""Range, If-Range and If-None-Match, as RFC 9110 defines them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.http.ranges import Span, Unsatisfiable, is_unchanged, select

ETAG = '"sha256:abc"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", None),
        ("bytes=0-", Span(0, 1000)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=0-999", Span(0, 1000)),
        ("bytes=0-5000", Span(0, 1000)),
        ("bytes=500-", Span(500, 1000)),
        ("bytes=999-", Span(999, 1000)),
        ("bytes=-1", Span(999, 1000)),
        ("bytes=-5000", Span(0, 1000)),
        ("Bytes=1-2", Span(1, 3)),
        ("bytes = 1-2", Span(1, 3)),
        ("bytes= 1-2 ,", Span(1, 3)),
        ("bytes=0-" + "9" * 50, Span(0, 1000)),
        # Several at once may be ignored, and so must units that are not known.
        ("bytes=0-1,5-6", None),
        ("items=0-1", None),
        ("nonsense", None),
    ],
)
def test_a_range_selects_bytes(header: str, expected: Span | None) -> None:
    """First and last position are inclusive, and what lies behind the end is cut."""
    assert select(header, "", ETAG, 1000) == expected


@pytest.mark.parametrize(
    "header",
    [
        "bytes=1000-",
        "bytes=5000-6000",
        "bytes=-0",
        "bytes=5-2",
        "bytes=-",
        "bytes=",
        "bytes=a-b",
        "bytes=1",
        "bytes=--1",
        "bytes=+1-2",
        "bytes=\u0661-",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_a_range_that_selects_nothing_is_unsatisfiable(header: str) -> None:
    """Malformed ones too."""
    with pytest.raises(Unsatisfiable):
        select(header, "", ETAG, 1000)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1"])
def test_an_empty_body_has_no_ranges(header: str) -> None:
    """There is no Content-Range that could describe one."""
    with pytest.raises(Unsatisfiable):
        select(header, "", ETAG, 0)


@pytest.mark.parametrize(
    ("if_range", "expected"),
    [
        (ETAG, Span(1, 3)),
        ('"sha256:other"', None),
        (f"W/{ETAG}", None),
        ("Mon, 23 Nov 2026 10:00:00 GMT", None),
        ("sha256:abc", None),
    ],
)
def test_if_range_wants_the_same_strong_tag(if_range: str, expected: Span | None) -> None:
    """Anything else gets the whole body, also where the range could not be satisfied."""
    assert select("bytes=1-2", if_range, ETAG, 1000) == expected
    if expected is None:
        assert select("bytes=5000-", if_range, ETAG, 1000) is None


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("*", True),
        (ETAG, True),
        (f"W/{ETAG}", True),
        (f'"a", {ETAG}', True),
        (f'"a,b" , W/{ETAG}', True),
        ('"sha256:other"', False),
        ("sha256:abc", False),
        (f'"x{ETAG[1:]}', False),
    ],
)
def test_if_none_match_compares_weakly(header: str, expected: bool) -> None:
    """One tag, several, or any."""
    assert is_unchanged(header, ETAG) is expected


@given(st.text(max_size=60), st.text(max_size=30), st.integers(0, 2**40))
def test_whatever_is_sent_a_span_lies_within_the_body(specs: str, if_range: str, size: int) -> None:
    """No header makes a part that is empty or outside."""
    try:
        span = select(f"bytes={specs}", if_range, ETAG, size)
    except Unsatisfiable:
        return
    assert span is None or 0 <= span.start < span.stop <= size
