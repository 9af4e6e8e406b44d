"""The next page is found in a Link header, or nowhere."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.link import InvalidLink, next_link


@pytest.mark.parametrize(
    ("header", "target"),
    [
        ('</v2/a/tags/list?n=2&last=x>; rel="next"', "/v2/a/tags/list?n=2&last=x"),
        ("</x>;rel=next", "/x"),
        ('</x>; REL="NEXT"', "/x"),
        ('</x>; rel="prev next"', "/x"),
        ("<a>; rel=prev, <b>; rel=next", "b"),
        ('<a,b;c>; title="x, <q>; rel=next"; rel="next"', "a,b;c"),
        ("<>; rel=next", ""),
        (", , <a>; crossorigin; rel=next ,", "a"),
        ("", None),
        ("<a>", None),
        ("<a>; rel=prev", None),
        ('<a>; rel="prev"; rel="next"', None),
        ('<a>; title="rel=next"', None),
        ('<a>; xrel="next"', None),
        ("<a>; rel=nextpage", None),
    ],
)
def test_the_next_link_is_found(header: str, target: str | None) -> None:
    """By its relation, wherever it stands and however it is written."""
    assert next_link([header]) == target


def test_all_headers_are_looked_at() -> None:
    """A server may send several."""
    assert next_link(["<a>; rel=first", "<b>; rel=next"]) == "b"


@pytest.mark.parametrize(
    "header", ["/x", "a; rel=next", "<a; rel=next", "<a> rel=next", '<a>; rel="next', "<a>x"]
)
def test_malformed_headers_are_refused(header: str) -> None:
    """A listing with one is not taken to be whole."""
    with pytest.raises(InvalidLink):
        next_link([header])


@given(st.one_of(st.text(max_size=50), st.text('<a>;=,"\\ relnxt', max_size=50)))
def test_any_header_is_read_or_refused(header: str) -> None:
    """Nothing but InvalidLink comes of text from outside."""
    with contextlib.suppress(InvalidLink):
        next_link([header])


@pytest.mark.parametrize("filler", ["; ", ";", ";=", ' ;\t=a="', '"\\', "<", "<a>,"])
def test_a_hostile_header_takes_no_time(filler: str) -> None:
    """Repetition costs in proportion to its length; one that backtracks would meet the test's time-out."""
    with contextlib.suppress(InvalidLink):
        next_link(["<a>" + filler * (16_000 // len(filler)) + "<"])
