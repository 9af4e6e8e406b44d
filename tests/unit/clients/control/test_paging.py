"""Lists, page by page."""

import grpc
import pytest

from clients.control.errors import ControlError, Unavailable
from clients.control.paging import PAGE_SIZE, iterate
from penstock.v1.artifact_pb2 import ListTagsRequest, ListTagsResponse, Tag
from tests.fakes.scripted_api import Refusal


def page(*names: str, next_page_token: str = "") -> ListTagsResponse:
    """A page with these tags."""
    return ListTagsResponse(tags=[Tag(name=name) for name in names], next_page_token=next_page_token)


async def listed(control, **fields) -> list[str]:
    """The names of all tags."""
    request = ListTagsRequest(parent="p", **fields)
    return [tag.name async for tag in iterate(control.artifacts.ListTags, request, lambda page: page.tags)]


async def test_all_pages(api, control):
    """In order, with the same request but for the page token; an empty page is not the end."""
    api.answer("ListTags", page("1", "2", next_page_token="a"), page(next_page_token="b"), page("3"))
    assert await listed(control) == ["1", "2", "3"]
    requests = api.requests("ListTags")
    assert [(request.parent, request.page_token) for request in requests] == [
        ("p", ""),
        ("p", "a"),
        ("p", "b"),
    ]
    assert {request.page_size for request in requests} == {PAGE_SIZE}


async def test_a_page_size_of_ones_own(api, control):
    """Is kept."""
    api.answer("ListTags", page("1"))
    await listed(control, page_size=5)
    assert api.requests("ListTags")[0].page_size == 5


async def test_no_page_more_than_is_read(api, control):
    """Who stops reading stops asking."""
    api.answer("ListTags", page("1", next_page_token="a"), page("2"))
    async for _ in iterate(control.artifacts.ListTags, ListTagsRequest(), lambda page: page.tags):
        break
    assert len(api.calls) == 1


async def test_a_server_that_goes_in_circles(api, control):
    """Is not followed for ever."""
    api.answer("ListTags", page("1", next_page_token="a"))
    with pytest.raises(ControlError, match="same page"):
        await listed(control)


async def test_an_error_in_the_middle(api, control):
    """Is translated like any other."""
    refusal = Refusal(grpc.StatusCode.UNAVAILABLE, "x", "DATABASE_UNAVAILABLE")
    api.answer("ListTags", page("1", next_page_token="a"), refusal)
    with pytest.raises(Unavailable):
        await listed(control)
