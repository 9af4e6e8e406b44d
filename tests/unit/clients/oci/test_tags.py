"""Tags are listed page by page, to the end or with an error; a listing is never silently short."""

import json

import pytest

from clients.oci.errors import (
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamUnavailable,
)
from clients.oci.registry import Registry
from clients.oci.tags import TagPages
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import TokenService

IMAGE = make_image()
TAGS = [f"v{number:03}" for number in range(25)]


@pytest.fixture
def registry(transport: Transport, upstream: FakeRegistry) -> Registry:
    """A client of a repository with 25 tags."""
    upstream.add(IMAGE, "team/app", TAGS)
    return Registry(transport, Upstream.parse(f"{upstream.host}/team/app", plain_http=True))


async def listed(pages: TagPages) -> list[list[str]]:
    """All pages."""
    return [page async for page in pages]


def page(*tags: object) -> bytes:
    """The body of a page."""
    return json.dumps({"name": "team/app", "tags": tags}).encode()


async def test_one_page(registry: Registry, upstream: FakeRegistry) -> None:
    """A listing that fits is asked for once."""
    pages = registry.tag_pages()
    assert await listed(pages) == [TAGS]
    assert pages.pages == upstream.count() == 1
    assert upstream.requests[0].path == "/v2/team/app/tags/list?n=1000"


async def test_pages_are_followed(registry: Registry, upstream: FakeRegistry) -> None:
    """By the Link header, also where the registry's pages are smaller than what was asked for."""
    upstream.page_size = 10
    assert await listed(registry.tag_pages()) == [TAGS[:10], TAGS[10:20], TAGS[20:]]
    assert await listed(registry.tag_pages(page_size=20)) == [TAGS[:10], TAGS[10:20], TAGS[20:]]


async def test_pages_without_a_link(registry: Registry, upstream: FakeRegistry) -> None:
    """Registries from before the header end a full page without a word; the rest is asked for by name."""
    upstream.faults.add("tags", headers={"Link": None})
    assert await listed(registry.tag_pages(page_size=10)) == [TAGS[:10], TAGS[10:20], TAGS[20:]]


async def test_a_registry_that_knows_no_pages(registry: Registry, upstream: FakeRegistry) -> None:
    """One that ignores `n` and `last` has said everything at once, which is noticed."""
    upstream.faults.add("tags", body=page(*TAGS), headers={"Link": None})
    pages = registry.tag_pages(page_size=10)
    assert await listed(pages) == [TAGS, []]
    assert pages.duplicates == 25


@pytest.mark.parametrize("body", [page(), b'{"name": "team/app", "tags": null}'])
async def test_a_repository_without_tags(registry: Registry, upstream: FakeRegistry, body: bytes) -> None:
    """In each of the ways that registries write it."""
    upstream.faults.add("tags", body=body)
    assert await listed(registry.tag_pages()) == [[]]


async def test_invalid_and_repeated_tags_are_left_out(registry: Registry, upstream: FakeRegistry) -> None:
    """And counted, over all pages."""
    link = {"Link": '</v2/team/app/tags/list?n=9&last=b>; rel="next"'}
    upstream.faults.add(
        "tags", body=page("a", "b", "a", "-x", 7, None, "x" * 129, "../x"), headers=link, times=1
    )
    upstream.faults.add("tags", body=page("b", "c", "ä"), headers={"Link": None})
    pages = registry.tag_pages()
    assert await listed(pages) == [["a", "b"], ["c"]]
    assert (pages.invalid, pages.duplicates, pages.pages) == (6, 2, 2)


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("<http://evil.example/v2/team/app/tags/list>; rel=next", "at another origin"),
        ("<//evil.example/v2/team/app/tags/list>; rel=next", "at another origin"),
        ("<https://127.0.0.1/v2/team/app/tags/list>; rel=next", "at another origin"),
        ("<http://127.0.0.1:1/v2/team/app/tags/list>; rel=next", "at another origin"),
        ("<file:///etc/passwd>; rel=next", "neither http nor https"),
        ("</v2/ team>; rel=next", "is malformed"),
        ("<>; rel=next", "is malformed"),
        ("</v2/team/app/tags/list; rel=next", "malformed Link header"),
    ],
)
async def test_hostile_links(registry: Registry, upstream: FakeRegistry, link: str, words: str) -> None:
    """A next page elsewhere is not asked for, and the listing has failed."""
    upstream.faults.add("tags", headers={"Link": link})
    with pytest.raises(UpstreamInvalid, match=words):
        await listed(registry.tag_pages())
    assert upstream.count() == 1


async def test_a_link_that_loops(registry: Registry, upstream: FakeRegistry) -> None:
    """Pages that bring nothing new come to an end."""
    upstream.faults.add("tags", headers={"Link": "</v2/team/app/tags/list?n=5>; rel=next"})
    with pytest.raises(UpstreamInvalid, match="over and over"):
        await listed(registry.tag_pages())
    assert upstream.count() < 15


async def test_too_many_pages(
    registry: Registry, upstream: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An endless listing ends in an error."""
    monkeypatch.setattr("clients.oci.tags.MAX_PAGES", 3)
    with pytest.raises(UpstreamInvalid, match="more than 3 pages"):
        await listed(registry.tag_pages(page_size=2))
    assert upstream.count() == 3


async def test_too_many_tags(
    registry: Registry, upstream: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as the limit are listed, and one more is an error."""
    monkeypatch.setattr("clients.oci.tags.MAX_TAGS", 25)
    assert len(await listed(registry.tag_pages(page_size=10))) == 3
    upstream.add(IMAGE, "team/app", ["w"])
    with pytest.raises(UpstreamInvalid, match="more than 25 tags"):
        await listed(registry.tag_pages(page_size=10))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b'{"tags": {}, "tags": []}', "twice"),
        (b'{"tags": {"a": 1}}', "that is none"),
        (b'{"tags": "latest"}', "that is none"),
        (b'{"name": "team/app"}', "that is none"),
        (page("x" * 4 * 1024 * 1024), "more than 4194304 bytes"),
    ],
)
async def test_bodies_that_are_no_list(
    registry: Registry, upstream: FakeRegistry, body: bytes, words: str
) -> None:
    """The sentence says what came instead."""
    upstream.faults.add("tags", body=body)
    with pytest.raises(UpstreamInvalid, match=words):
        await listed(registry.tag_pages())


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, UpstreamDenied), (403, UpstreamDenied), (404, UpstreamNotFound), (500, UpstreamUnavailable)],
)
async def test_a_page_that_fails_fails_the_listing(
    registry: Registry, upstream: FakeRegistry, status: int, kind: type[UpstreamError]
) -> None:
    """What came before is not taken for the whole."""
    upstream.page_size = 10
    pages = registry.tag_pages()
    assert await anext(pages) == TAGS[:10]
    upstream.faults.add("tags", status=status)
    with pytest.raises(kind):
        await anext(pages)


async def test_a_token_that_ends_between_pages(registry: Registry, upstream: FakeRegistry) -> None:
    """Is replaced, and the listing goes on."""
    upstream.page_size = 10
    upstream.tokens = TokenService()
    pages = registry.tag_pages()
    assert await anext(pages) == TAGS[:10]
    upstream.tokens.revoke()
    assert await listed(pages) == [TAGS[10:20], TAGS[20:]]
    assert upstream.count(kind="token") == 2


async def test_a_listing_that_is_redirected(
    registry: Registry, upstream: FakeRegistry, elsewhere: FakeRegistry
) -> None:
    """Goes on at the new place, where this registry's token is not sent."""
    upstream.tokens = TokenService()
    upstream.faults.add("tags", redirect=elsewhere.base_url)
    elsewhere.add(IMAGE, "team/app", TAGS)
    elsewhere.page_size = 10
    assert await listed(registry.tag_pages()) == [TAGS[:10], TAGS[10:20], TAGS[20:]]
    assert elsewhere.count() == 3
    assert all("Authorization" not in seen.headers for seen in elsewhere.requests)
