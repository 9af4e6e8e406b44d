"""A secret is found in every form that somebody could turn back, and in no other text."""

import base64
import json
from urllib.parse import quote

import pytest

from tests.fakes.secrets import occurs

SECRET = 'p4ss/w+rd "of" many=signs'


@pytest.mark.parametrize(
    "content",
    [
        SECRET,
        f"log: {SECRET}.",
        quote(SECRET, safe=""),
        json.dumps({"password": SECRET}),
        SECRET.encode().hex(),
        *(base64.b64encode(f"{'x' * length}:{SECRET}\n".encode()).decode() for length in range(6)),
        *(base64.urlsafe_b64encode(f"{'x' * length}{SECRET}?".encode()).decode() for length in range(3)),
    ],
)
def test_found(content: str) -> None:
    """As it is, escaped, and in base64 after a user name of any length."""
    assert occurs(SECRET, content.encode())


@pytest.mark.parametrize("content", ["", SECRET[:-1], base64.b64encode(b"alice:other").decode()])
def test_not_found(content: str) -> None:
    """What is not there is not reported."""
    assert not occurs(SECRET, content.encode())


def test_a_part_of_a_long_token() -> None:
    """Of a long one, the beginning alone is bad enough."""
    token = "".join(str(number) for number in range(1000))
    assert occurs(token, f"got {token[:60]}...".encode())
