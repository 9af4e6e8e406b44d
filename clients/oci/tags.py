"""The tags of an upstream repository, page by page (distribution specification, "Listing Tags")."""

from collections.abc import Awaitable, Callable
from typing import Any, Self

from yarl import URL

from clients.oci.errors import UpstreamInvalid
from clients.oci.link import InvalidLink, next_link
from clients.oci.origin import ForbiddenUrl, check_same_origin, follow
from clients.oci.reference import InvalidReference, check_tag
from clients.oci.request import Answer
from clients.oci.strict_json import InvalidJson, read_object
from clients.oci.upstream import Upstream

MAX_PAGES = 10_000
MAX_TAGS = 1_000_000
# Pages in a row without anything new, after which an upstream is taken to go round in circles.
_FRUITLESS_PAGES = 10


class TagPages:
    """Iterates over pages of tags: valid ones, each once over all pages; raises UpstreamError.

    A listing that ends without an error is whole. `invalid` and `duplicates` count what was left out so
    far; `pages` what was asked for.
    """

    def __init__(
        self, upstream: Upstream, page_size: int, ask: Callable[[URL], Awaitable[Answer]], first: URL
    ) -> None:
        self.pages = 0
        self.invalid = 0
        self.duplicates = 0
        self._upstream = upstream
        self._page_size = page_size
        self._ask = ask
        self._first = first
        self._next: URL | None = first.with_query(n=page_size)
        self._seen: set[str] = set()
        self._fruitless = 0

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[str]:
        if self._next is None:
            raise StopAsyncIteration
        if self.pages >= MAX_PAGES:
            raise self._invalid(f"lists its tags on more than {MAX_PAGES} pages")
        answer = await self._ask(self._next)
        self.pages += 1
        listed = self._listed(answer.body)
        fresh = self._fresh(listed)
        self._next = self._following(answer, listed)
        self._fruitless = 0 if fresh else self._fruitless + 1
        if self._next is not None and self._fruitless >= _FRUITLESS_PAGES:
            raise self._invalid("sends the same tags over and over")
        return fresh

    def _listed(self, body: bytes) -> list[Any]:
        try:
            document = read_object(body)
        except InvalidJson as error:
            raise self._invalid(f"sent a list of tags that {error}") from None
        # Go writes an empty list as null; without the field, it is not an answer to this question.
        listed = document.get("tags", ...)
        if listed is None:
            return []
        if not isinstance(listed, list):
            raise self._invalid("sent a list of tags that is none")
        return listed

    def _fresh(self, listed: list[Any]) -> list[str]:
        fresh: list[str] = []
        for tag in listed:
            if not _is_tag(tag):
                self.invalid += 1
            elif tag in self._seen:
                self.duplicates += 1
            else:
                self._seen.add(tag)
                fresh.append(tag)
        if len(self._seen) > MAX_TAGS:
            raise self._invalid(f"has more than {MAX_TAGS} tags")
        return fresh

    def _following(self, answer: Answer, listed: list[Any]) -> URL | None:
        try:
            target = next_link(answer.headers.getall("Link", []))
            if target is not None:
                url = follow(answer.url, target)
                check_same_origin(answer.url, url)
                return url
        except (InvalidLink, ForbiddenUrl) as error:
            raise self._invalid(f"names a next page of tags that {error}") from None
        # Registries from before the Link header end a full page without a word.
        if len(listed) >= self._page_size and _is_tag(listed[-1]):
            following = self._first.with_query(n=self._page_size, last=listed[-1])
            return None if following == self._next else following
        return None

    def _invalid(self, problem: str) -> UpstreamInvalid:
        host, repository = self._upstream.host, self._upstream.repository
        return UpstreamInvalid(host, f"{host} {problem} (repository {repository}).")


def _is_tag(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        check_tag(value)
    except InvalidReference:
        return False
    return True
