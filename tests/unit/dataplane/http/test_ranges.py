"""Range, If-Range and If-None-Match, as RFC 9110 defines them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.http.errors import Refusal
from dataplane.http.ranges import Span, Unsatisfiable, is_unchanged, require_match, select

ETAG = '"sha256:abc"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        ("bytes=0-", [(0, 1000)]),
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-999", [(0, 1000)]),
        ("bytes=0-5000", [(0, 1000)]),
        ("bytes=500-", [(500, 1000)]),
        ("bytes=999-", [(999, 1000)]),
        ("bytes=-1", [(999, 1000)]),
        ("bytes=-5000", [(0, 1000)]),
        ("Bytes=1-2", [(1, 3)]),
        ("bytes = 1-2", [(1, 3)]),
        ("bytes= 1-2 ,", [(1, 3)]),
        ("bytes=0-" + "9" * 50, [(0, 1000)]),
        # Several at once, in their order.
        ("bytes=0-1,500-501", [(0, 2), (500, 502)]),
        ("bytes=500-501, 0-1", [(500, 502), (0, 2)]),
        ("bytes=0-1,-1", [(0, 2), (999, 1000)]),
        ("bytes=0-1,400-499,900-", [(0, 2), (400, 500), (900, 1000)]),
        # What overlaps is one; what touches, or nearly does, is not: clients count the parts that they get.
        ("bytes=0-10,5-20", [(0, 21)]),
        ("bytes=0-10,11-20", [(0, 11), (11, 21)]),
        ("bytes=0-1,5-6", [(0, 2), (5, 7)]),
        ("bytes=900-,0-10,10-11", [(900, 1000), (0, 12)]),
        # What there is nothing of is left out.
        ("bytes=0-1,5000-", [(0, 2)]),
        ("bytes=5000-,0-1,-0", [(0, 2)]),
        # Too many are ignored, and so must units be that are not known.
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(64)), [(n, n + 1) for n in range(64)]),
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(65)), []),
        ("items=0-1", []),
        ("nonsense", []),
    ],
)
def test_a_range_selects_bytes(header: str, expected: list[tuple[int, int]]) -> None:
    """First and last position are inclusive, and what lies behind the end is cut."""
    assert [(span.start, span.stop) for span in select(header, "", ETAG, 1000)] == expected


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
        # Of several: none, or one that is no range.
        "bytes=1000-,2000-3000",
        "bytes=0-1,b-c",
        "bytes=0-1,7-3",
        # Section 14.2: more than two that overlap, and many without order.
        "bytes=0-,0-,0-",
        "bytes=0-500,100-110,200-210",
        "bytes=0-1,5-900,6-7,8-9",
        "bytes=900-,800-801,700-701,600-601,500-501,400-401,300-301,200-201,100-101",
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
        (ETAG, (Span(1, 3),)),
        ('"sha256:other"', ()),
        (f"W/{ETAG}", ()),
        ("Mon, 23 Nov 2026 10:00:00 GMT", ()),
        ("sha256:abc", ()),
    ],
)
def test_if_range_wants_the_same_strong_tag(if_range: str, expected: tuple[Span, ...]) -> None:
    """Anything else gets the whole body, also where the range could not be satisfied."""
    assert select("bytes=1-2", if_range, ETAG, 1000) == expected
    if not expected:
        assert select("bytes=5000-", if_range, ETAG, 1000) == ()
        assert select("bytes=0-1,500-501", if_range, ETAG, 1000) == ()


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


@pytest.mark.parametrize("header", ["", "*", " * ", ETAG, f'"a", {ETAG}', f'W/"a" ,{ETAG}'])
def test_if_match_holds(header: str) -> None:
    """One tag, several, or any."""
    require_match(header, ETAG)


@pytest.mark.parametrize("header", ['"a"', f"W/{ETAG}", f'W/{ETAG}, "a"', ETAG.strip('"'), f'"a,{ETAG[1:]}'])
def test_if_match_compares_strongly(header: str) -> None:
    """Whoever has something else, or what is only as good, is told (RFC 9110, section 13.1.1)."""
    with pytest.raises(Refusal) as caught:
        require_match(header, ETAG)
    assert caught.value.status == 412


@given(st.text(max_size=60), st.text(max_size=30), st.integers(0, 2**40))
def test_whatever_is_sent_a_span_lies_within_the_body(specs: str, if_range: str, size: int) -> None:
    """No header makes a part that is empty or outside."""
    try:
        spans = select(f"bytes={specs}", if_range, ETAG, size)
    except Unsatisfiable:
        return
    assert all(0 <= span.start < span.stop <= size for span in spans)


_SPECS = st.tuples(st.integers(0, 1200), st.integers(0, 1200)).map(lambda pair: (min(pair), max(pair)))


@given(st.lists(_SPECS, min_size=1, max_size=20))
def test_parts_hold_what_was_asked_for_and_no_byte_twice(specs: list[tuple[int, int]]) -> None:
    """However ranges overlap, and nothing beside."""
    header = "bytes=" + ",".join(f"{first}-{last}" for first, last in specs)
    try:
        spans = select(header, "", ETAG, 1000)
    except Unsatisfiable:
        return
    sent = [position for span in spans for position in range(span.start, span.stop)]
    wanted = {position for first, last in specs for position in range(first, min(last + 1, 1000))}
    assert sorted(sent) == sorted(wanted)
