"""The load generator's view of HTTP: complete heads, honest sizes, nothing else."""

import pytest

from tests.bench.load.message import HEAD_LIMIT, Head, LoadFailed, parse_head, request

_ANSWER = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH: 12\r\n\r\n"


def test_head_is_read_with_its_size() -> None:
    """Field names have no case; what follows the head is body."""
    assert parse_head(_ANSWER + b"hello") == Head(200, len(_ANSWER), 12)


@pytest.mark.parametrize("cut", range(len(_ANSWER)))
def test_incomplete_head_is_none(cut: int) -> None:
    """Wherever a packet ends."""
    assert parse_head(_ANSWER[:cut]) is None


@pytest.mark.parametrize(
    "received",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"x" * (HEAD_LIMIT + 1),
    ],
)
def test_what_cannot_be_counted_fails(received: bytes) -> None:
    """An answer of unknown length would make a figure of unknown worth."""
    with pytest.raises(LoadFailed):
        parse_head(received)


def test_request_keeps_its_connection() -> None:
    """HTTP/1.1 with the server's own fields, and nothing that asks to close."""
    text = request("HEAD", "/v2/a/manifests/b", "127.0.0.1:1", {"Authorization": "Basic x"}).decode()
    assert text.startswith("HEAD /v2/a/manifests/b HTTP/1.1\r\nHost: 127.0.0.1:1\r\n")
    assert "\r\nAuthorization: Basic x\r\n" in text
    assert text.endswith("\r\n\r\n")
    assert "close" not in text
