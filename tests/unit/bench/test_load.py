"""The load generator against a small server: it counts what was really sent, and refuses to count errors."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.bench.load.address import Address
from tests.bench.load.drain import drain
from tests.bench.load.hammer import hammer
from tests.bench.load.message import LoadFailed, request

SIZE = 3_000_000


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self) -> None:
        body = bytes(SIZE if self.path == "/large" else 5)
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(SIZE if self.path == "/short" else len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        if self.path == "/short":
            self.close_connection = True

    do_HEAD = do_GET  # the name that the base class looks for

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A generator that drops its transfers is what these tests are about."""


@pytest.fixture
def address() -> Iterator[Address]:
    """A server on a thread of its own."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Address("127.0.0.1", server.server_port)
        server.shutdown()
        thread.join()


def _get(path: str, method: str = "GET") -> bytes:
    return request(method, path, "test", {})


def test_drain_counts_bodies_without_their_heads(address: Address) -> None:
    """Two connections share a queue of five responses."""
    queue = iter([_get("/large"), _get("/small")] * 2 + [_get("/large")])
    drained = drain(address, [queue, queue])
    assert drained.size == 3 * SIZE + 2 * 5
    assert sorted(transfer.size for transfer in drained.transfers) == [5, 5, SIZE, SIZE, SIZE]
    assert all(one.started < one.first_byte <= one.finished for one in drained.transfers)


def test_drain_ends_by_time(address: Address) -> None:
    """A queue that never ends does not keep it."""
    drained = drain(address, [iter(lambda: _get("/large"), None)], seconds=0.1)
    assert drained.size > 0


@pytest.mark.parametrize(("path", "says"), [("/missing", "404"), ("/short", "to go")])
def test_drain_refuses_errors_and_short_bodies(address: Address, path: str, says: str) -> None:
    """Quick failures would otherwise look like a quick server."""
    with pytest.raises(LoadFailed, match=says):
        drain(address, [iter([_get(path)])])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_hammer_times_every_answer(address: Address, method: str) -> None:
    """HEAD announces a length that never comes."""
    done = hammer(address, _get("/small", method), 3, 0.1)
    assert done.latencies == sorted(done.latencies)
    assert done.latencies
    assert 0 < done.latencies[-1] <= done.seconds


def test_hammer_refuses_errors(address: Address) -> None:
    """Nor are quick errors quick answers."""
    with pytest.raises(LoadFailed, match="404"):
        hammer(address, _get("/missing"), 1, 0.1)


def test_nobody_listening_is_an_error() -> None:
    """Which a case reports like a wrong answer."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = Address("127.0.0.1", unused.getsockname()[1])
        with pytest.raises(OSError):
            hammer(nobody, _get("/small"), 1, 0.1)
