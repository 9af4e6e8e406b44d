"""A client, told of in either of two ways."""

from collections.abc import Iterator

import pytest

from tests.unit.dataplane.events.requests import Requests


@pytest.fixture(params=[False, True], ids=["slow blobs", "quick blobs"])
def requests(request: pytest.FixtureRequest) -> Iterator[Requests]:
    """A client, and the fold at the other end."""
    requests = Requests(quick=request.param)
    yield requests
    assert requests.fold.open() == []
