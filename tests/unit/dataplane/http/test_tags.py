"""`tags/list`: pages, links, and bodies of exactly the length that is announced."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.http import tags as answers
from dataplane.http.message import Answer, Request
from dataplane.http.target import Tags, parse
from dataplane.resolve.taglist import TagList

GET = Request("GET", "/")
TAGS = ["1.0", "1.1", "2.0", "latest"]


async def body_of(answer: Answer) -> bytes:
    """Read a body to its end."""
    assert not isinstance(answer.body, bytes)
    chunks = []
    while (chunk := await answer.body.read()) is not None:
        chunks.append(bytes(chunk))
    await answer.body.close()
    body = b"".join(chunks)
    assert len(body) == answer.length
    return body


def link_of(answer: Answer) -> str | None:
    """The Link header, if there is one."""
    return dict(answer.headers).get("Link")


@pytest.mark.parametrize(
    ("query", "expected", "link"),
    [
        ("", TAGS, None),
        ("?n=2", ["1.0", "1.1"], '</v2/acme/app/tags/list?n=2&last=1.1>; rel="next"'),
        ("?n=2&last=1.1", ["2.0", "latest"], None),
        ("?n=4", TAGS, None),
        ("?n=5", TAGS, None),
        ("?n=0", [], None),
        ("?n=0&last=1.0", [], None),
        ("?last=1.1", ["2.0", "latest"], None),
        ("?last=1.05", ["1.1", "2.0", "latest"], None),
        ("?n=1&last=0", ["1.0"], '</v2/acme/app/tags/list?n=1&last=1.0>; rel="next"'),
        ("?last=latest", [], None),
        ("?last=zzz", [], None),
        ("?last=%C3%A9", [], None),
        ("?last=%0A", TAGS, None),
        ("?n=999999999999999999", TAGS, None),
    ],
)
async def test_a_page_holds_what_comes_after_last(query: str, expected: list[str], link: str | None) -> None:
    """At most n tags, and a Link where more are left; n=0 gives none and no Link."""
    target = parse(f"/v2/acme/app/tags/list{query}")
    assert isinstance(target, Tags)
    answer = answers.answer(GET, target, TagList.of(reversed(TAGS), 1))
    assert answer.status == 200
    assert json.loads(await body_of(answer)) == {"name": "acme/app", "tags": expected}
    assert link_of(answer) == link


async def test_an_artifact_without_tags_has_an_empty_list() -> None:
    """And not null."""
    answer = answers.answer(GET, Tags("acme/app", None, ""), TagList.of([], 1))
    assert json.loads(await body_of(answer)) == {"name": "acme/app", "tags": []}


async def test_head_announces_the_length_of_get() -> None:
    """Without making the body."""
    tags = TagList.of(TAGS, 1)
    target = Tags("acme/app", 3, "")
    head = answers.answer(Request("HEAD", "/"), target, tags)
    assert head.body == b""
    assert head.length == len(await body_of(answers.answer(GET, target, tags)))


async def test_links_lead_through_a_large_repository() -> None:
    """100,000 tags: in chunks, in order, none twice, and no page above the limit."""
    names = [f"build-{number}" for number in range(100_000)]
    tags = TagList.of(names, 1)
    assert json.loads(await body_of(answers.answer(GET, Tags("a/b", None, ""), tags)))["tags"] == sorted(
        names
    )
    found: list[str] = []
    link: str | None = "</v2/a/b/tags/list?n=999999>; rel"
    while link:
        target = parse(link[1 : link.index(">")])
        assert isinstance(target, Tags)
        answer = answers.answer(GET, target, tags)
        page = json.loads(await body_of(answer))["tags"]
        assert 0 < len(page) <= answers.MAX_PAGE
        found += page
        link = link_of(answer)
    assert found == sorted(names)


TAG = st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True)


@given(st.lists(TAG, max_size=30), st.none() | st.integers(0, 40), TAG | st.text(max_size=5))
def test_a_page_equals_what_a_plain_list_would_give(tags: list[str], limit: int | None, last: str) -> None:
    """The binary search over one piece of memory against `sorted` and a comparison."""
    wanted = [tag for tag in sorted(set(tags)) if tag.encode() > last.encode("utf-8", "surrogateescape")]
    page = TagList.of(tags, 1).page(limit, last)
    found = b"".join(page.pieces()).decode().split()
    assert found == (wanted if limit is None else wanted[:limit])
    assert page.count == len(found)
    assert page.more == (len(found) < len(wanted))
    assert page.last == (found[-1] if found else "")


@given(st.lists(TAG, max_size=10), st.integers(0, 2**62))
def test_a_list_survives_the_disk(tags: list[str], revision: int) -> None:
    """Encoded and decoded it is the same."""
    held = TagList.of(tags, revision)
    assert TagList.decode(held.encode()) == held


@pytest.mark.parametrize("encoded", [b"", b"x\n", b"-1\na\n", b"\n"])
def test_something_else_is_no_list(encoded: bytes) -> None:
    """What a newer or older version may have written."""
    assert TagList.decode(encoded) is None
