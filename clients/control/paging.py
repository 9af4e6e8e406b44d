"""Lists of the API, page by page until the last (AIP-158)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Protocol, TypeVar

import grpc

from clients.control.errors import ControlError, translated

PAGE_SIZE = 1000


class _Request(Protocol):
    page_size: int
    page_token: str


class _Page(Protocol):
    next_page_token: str


_RequestT = TypeVar("_RequestT", bound=_Request)
_PageT = TypeVar("_PageT", bound=_Page)
_Item = TypeVar("_Item")


async def iterate(
    method: Callable[[_RequestT], Awaitable[_PageT]],
    request: _RequestT,
    items: Callable[[_PageT], Iterable[_Item]],
    *,
    limit: int | None = None,
) -> AsyncIterator[_Item]:
    """Give every item of a list, or the first `limit`, asking for a page when the one before is used up.

    `request` is used for all pages, and changed; its page size is PAGE_SIZE where it has none.
    Raises ControlError.
    """
    request.page_size = request.page_size or min(PAGE_SIZE, limit or PAGE_SIZE)
    given = 0
    while True:
        with translated():
            page = await method(request)
        for item in items(page):
            yield item
            given += 1
            if given == limit:
                return
        if not page.next_page_token:
            return
        if page.next_page_token == request.page_token:
            raise ControlError("The control plane gave the same page twice.", grpc.StatusCode.INTERNAL)
        request.page_token = page.next_page_token
