"""Specification, "Content Discovery": tags and referrers (end-8, end-12)."""

import re
from urllib.parse import urljoin, urlsplit

import pytest

from tests.conformance import content
from tests.conformance.client import Repository, assert_error
from tests.servers import http

ABSENT = f"sha256:{'0' * 64}"


def following(answer: http.Answer) -> str | None:
    """The target of the answer's Link header, RFC 5988, whose relation must be "next"."""
    header = answer.headers["Link"]
    if header is None:
        return None
    match = re.fullmatch(r'<([^>]+)>; *rel="?next"?', header)
    assert match, header
    return match[1]


def test_all_tags(repository: Repository) -> None:
    """Section "Listing tags" (end-8a): name and tags, in ASCII order."""
    answer = repository.get("tags/list")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == {"name": repository.name, "tags": content.TAGS}


def test_no_tags(without_tags: Repository) -> None:
    """Section "Listing tags": the list may be empty, and is a list then."""
    answer = without_tags.get("tags/list")
    assert answer.status == 200
    assert answer.json() == {"name": without_tags.name, "tags": []}


@pytest.mark.parametrize("n", [1, 3, len(content.TAGS) - 1])
def test_some_tags(repository: Repository, n: int) -> None:
    """Section "Listing tags" (end-8b): exactly n, from the beginning, with a Link to the others."""
    answer = repository.get(f"tags/list?n={n}")
    assert answer.status == 200
    assert answer.json()["tags"] == content.TAGS[:n]
    assert following(answer)


@pytest.mark.parametrize("n", [len(content.TAGS), len(content.TAGS) + 1, 10**12])
def test_more_tags_than_there_are(repository: Repository, n: int) -> None:
    """Section "Listing tags" (end-8b): all there are, and no Link."""
    answer = repository.get(f"tags/list?n={n}")
    assert answer.status == 200
    assert answer.json()["tags"] == content.TAGS
    assert following(answer) is None


def test_zero_tags(repository: Repository) -> None:
    """Section "Listing tags": n=0 gives an empty list and no Link."""
    answer = repository.get("tags/list?n=0")
    assert answer.status == 200
    assert answer.json()["tags"] == []
    assert following(answer) is None


@pytest.mark.parametrize("n", [1, 5])
def test_following_the_links(repository: Repository, n: int) -> None:
    """Section "Listing tags": the Links lead through all tags, each once, n at a time."""
    path: str | None = f"/v2/{repository.name}/tags/list?n={n}"
    pages: list[list[str]] = []
    while path is not None:
        answer = repository.ask_path("GET", path)
        assert answer.status == 200
        pages.append(answer.json()["tags"])
        link = following(answer)
        path = None if link is None else _below(path, link)
    assert [tag for page in pages for tag in page] == content.TAGS
    assert all(len(page) == n for page in pages[:-1])


def _below(path: str, link: str) -> str:
    # A Link may be absolute or relative.
    parts = urlsplit(urljoin(f"http://registry{path}", link))
    return f"{parts.path}?{parts.query}"


@pytest.mark.parametrize("place", [0, 4, len(content.TAGS) - 2])
def test_tags_after_one(repository: Repository, place: int) -> None:
    """Section "Listing tags": `last` itself is not in the list; n is optional with it."""
    last = content.TAGS[place]
    assert repository.get(f"tags/list?last={last}").json()["tags"] == content.TAGS[place + 1 :]
    assert repository.get(f"tags/list?n=2&last={last}").json()["tags"] == content.TAGS[place + 1 : place + 3]


def test_tags_after_one_that_is_not_there(repository: Repository) -> None:
    """Section "Listing tags": `last` is a place in the order, whether or not the tag still exists."""
    expected = [tag for tag in content.TAGS if tag > "1.5"]
    assert repository.get("tags/list?last=1.5").json()["tags"] == expected


def test_tags_after_the_last(repository: Repository) -> None:
    """Section "Listing tags": after the last there is nothing, and no Link."""
    answer = repository.get(f"tags/list?n=5&last={content.TAGS[-1]}")
    assert answer.status == 200
    assert answer.json()["tags"] == []
    assert following(answer) is None


@pytest.mark.parametrize("n", ["-1", "abc", "1.5", "0x10", "", "1e3", "%20"])
def test_malformed_number(repository: Repository, n: str) -> None:
    """Section "Listing tags": n is an integer; anything else is refused as registries at large refuse it."""
    assert_error(repository.get(f"tags/list?n={n}"), 400, "PAGINATION_NUMBER_INVALID")


def test_tags_of_an_unknown_repository(unknown: Repository) -> None:
    """Section "Endpoints" (end-8a): 404 (code-9)."""
    assert_error(unknown.get("tags/list"), 404, "NAME_UNKNOWN")


@pytest.mark.parametrize("digest", [str(content.INDEX.digest), ABSENT], ids=["known", "unknown"])
@pytest.mark.parametrize("query", ["", "?artifactType=application/vnd.example.other"])
def test_no_referrers(repository: Repository, digest: str, query: str) -> None:
    """Section "Listing referrers" (end-12): an empty index, never a 404, also for what is not there."""
    answer = repository.get(f"referrers/{digest}{query}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/vnd.oci.image.index.v1+json"
    document = answer.json()
    assert document["schemaVersion"] == 2
    assert document["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert document["manifests"] == []
    assert answer.headers["OCI-Filters-Applied"] in (None, "artifactType")


def test_referrers_in_an_unknown_repository(unknown: Repository) -> None:
    """Section "Endpoints" (end-12a): 404 (code-9)."""
    assert_error(unknown.get(f"referrers/{ABSENT}"), 404, "NAME_UNKNOWN")
