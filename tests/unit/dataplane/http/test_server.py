"""The HTTP server, on real sockets, by what clients of all kinds send and do not send."""

import asyncio
from contextlib import suppress

import pytest

from clients.oci.errors import UpstreamUnavailable
from dataplane.http.message import Answer, Chunk, Pieces, Request
from tests.unit.dataplane.http.serving import CLOSE, Endless, Slow, body, get, running, status


async def test_an_answer_is_framed() -> None:
    """With length, date and the headers that were given; nothing that names the server."""
    async with running() as server:
        received = await server.exchange(get("/hello", CLOSE))
    assert status(received) == 200
    head = received.partition(b"\r\n\r\n")[0]
    for header in (
        b"\r\nContent-Length: 6",
        b"\r\nX-Test: 1",
        b"\r\nDate: ",
        b"X-Content-Type-Options: nosniff",
    ):
        assert header in head
    assert b"Server:" not in head
    assert b"Transfer-Encoding" not in head
    assert body(received) == b"/hello"
    assert server.sent == 6


async def test_a_request_is_passed_on_as_it_was_sent() -> None:
    """The target stays encoded; the headers that matter are picked out, whatever their case."""
    async with running() as server:
        await server.exchange(
            get(
                "/a%2fb?q=%31",
                b"authorization: Bearer x",
                b"RANGE: bytes=0-1",
                b'If-Range: "e"',
                b"If-Match: *",
                b'If-None-Match: "e"',
                CLOSE,
            )
        )
    assert server.requests == [
        Request(
            "GET",
            "/a%2fb?q=%31",
            "Bearer x",
            range="bytes=0-1",
            if_range='"e"',
            if_match="*",
            if_none_match='"e"',
            address="127.0.0.1",
        )
    ]


async def test_connections_are_kept_and_pipelined() -> None:
    """Several requests at once are answered in order; HEAD and 304 have no body between them."""
    async with running() as server:
        server.answers["/304"] = lambda: Answer(304, (("ETag", '"x"'),))
        received = await server.exchange(
            get("/1") + get("/2", method="HEAD") + get("/304") + get("/3", CLOSE)
        )
    answers = received.split(b"HTTP/1.1 ")[1:]
    assert [part[:3] for part in answers] == [b"200", b"200", b"304", b"200"]
    assert [body(part) for part in answers] == [b"/1", b"", b"", b"/3"]
    assert b"Content-Length: 2" in answers[1]
    assert b"Content-Length" not in answers[2]


async def test_an_old_client_is_served() -> None:
    """HTTP/1.0 without Host; the connection ends with the answer."""
    async with running() as server:
        assert body(await server.exchange(b"GET /old HTTP/1.0\r\n\r\n")) == b"/old"


@pytest.mark.parametrize(
    "headers",
    [
        (b"Connection: Close",),
        (b"Connection: TE, close", b"TE: trailers"),
        (b"Connection: keep-alive", b"Connection: close"),
    ],
)
async def test_a_connection_ends_when_the_client_says_so(headers: tuple[bytes, ...]) -> None:
    """Among other options as well, as Perl's clients send it; what follows is not answered."""
    async with running() as server:
        received = await server.exchange(get("/last", *headers) + get("/never"))
    assert b"\r\nConnection: close\r\n" in received
    assert body(received) == b"/last"


async def test_a_body_is_thrown_away() -> None:
    """A push is answered like anything else, and the connection can be used again."""
    async with running() as server:
        put = get("/put", b"Content-Length: 100000", method="PUT") + b"x" * 100_000
        chunked = get("/post", b"Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n0\r\n\r\n"
        assert body(await server.exchange(put + get("/after", CLOSE))).endswith(b"/after")
        assert status(await server.exchange(chunked)) == 200
    assert [request.method for request in server.requests] == ["PUT", "GET", "POST"]


@pytest.mark.parametrize(
    "headers",
    [
        (b"Content-Length: 99999999999",),
        (b"Content-Length: 1000", b"Expect: 100-continue"),
        (b"Transfer-Encoding: chunked",),
    ],
)
async def test_a_body_that_need_not_be_sent_is_not_waited_for(headers: tuple[bytes, ...]) -> None:
    """The answer comes first, says that the connection ends, and ends it."""
    async with running() as server:
        received = await server.exchange(get("/put", *headers, method="PUT"))
    assert status(received) == 200
    assert b"Connection: close" in received
    assert b"100 (Continue)" not in received
    assert body(received) == b"/put"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (get("/", b"X-Long: " + b"a" * 40_000), 431),
        (get("/", *(f"X-{n}: {'a' * 90}".encode() for n in range(400))), 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ],
)
async def test_requests_out_of_bounds_are_refused(sent: bytes, expected: int) -> None:
    """With a status, and the connection ends; nothing of it reaches the registry. What is too long counts."""
    async with running() as server:
        received = await server.exchange(sent)
        assert status(received) == expected
        assert server.requests == []
        assert server.hits.large_header == (expected in (414, 431))


async def test_headers_without_end_are_hung_up_on() -> None:
    """Their memory is bounded; the client sees a connection that ended or was reset."""
    async with running() as server:
        received = b""
        with suppress(ConnectionError):
            received = await server.exchange(b"GET / HTTP/1.1\r\nX-A: " + b"a" * 1_000_000)
        assert received == b""
        assert server.requests == []


async def test_idle_connections_and_slow_headers_end() -> None:
    """Both by the same clock; a client that says nothing gets nothing."""
    async with running(idle=0.1, header=0.1) as server:
        assert await server.exchange(b"") == b""
        assert await server.exchange(b"GET / HT") == b""
        assert body(await server.exchange(get("/one"))) == b"/one"


@pytest.mark.parametrize("header", [b"X-A: b", b"Expect: 100-continue", b"Transfer-Encoding: chunked"])
async def test_a_client_that_leaves_stops_the_work(header: bytes) -> None:
    """The body is let go of at once, also while nothing is being written, or it still owes a body itself."""
    async with running() as server:
        slow = Slow()
        server.answers["/slow"] = lambda: Answer(200, (), slow, 4)
        _, writer = await server.connect()
        writer.write(get("/slow", header))
        await slow.begun.wait()
        writer.close()
        async with asyncio.timeout(20):
            await slow.closed.wait()


async def test_a_client_that_takes_nothing_is_cut() -> None:
    """It does not hold memory or files for ever, and nothing is made that it does not take."""
    async with running(stall=0.2) as server:
        endless = Endless()
        server.answers["/big"] = lambda: Answer(200, (), endless, 1 << 40)
        _, writer = await server.connect()
        # asyncio would read on its own; this client does not.
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(get("/big"))
        async with asyncio.timeout(20):
            await endless.closed.wait()
        # What the kernel's buffers take, and a chunk more.
        assert endless.given < 100
        writer.close()


async def test_a_body_is_sent_piece_by_piece() -> None:
    """Of the announced length, whatever the pieces are."""
    async with running() as server:
        pieces = [b"a" * 5, memoryview(b"b" * 300_000), b"c"]
        server.answers["/pieces"] = lambda: Answer(200, (), Pieces(pieces), 300_006)
        received = await server.exchange(get("/pieces", CLOSE))
    assert body(received) == b"".join(pieces)
    assert server.sent == 300_006


@pytest.mark.parametrize(
    "failure", [UpstreamUnavailable("docker.io", "It broke off."), ValueError("a bug"), None]
)
async def test_a_body_that_cannot_be_completed_never_ends_cleanly(
    failure: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The connection is cut below the announced length; None is a Stream that ends too early."""

    class Broken(Slow):
        async def read(self) -> Chunk | None:
            chunk, self.chunk = self.chunk, None
            if chunk is None and failure is not None:
                raise failure
            return chunk

    async with running() as server:
        broken = Broken(b"only this")
        server.answers["/broken"] = lambda: Answer(200, (), broken, 1000)
        received = await server.exchange(get("/broken") + get("/next"))
        assert body(received) == b"only this"
        assert broken.closed.is_set()
        assert len(server.requests) == 1
    assert "cut short" in caplog.text


async def test_a_failure_to_answer_cuts_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    """And leaves a traceback in the log."""
    async with running() as server:
        server.answers["/bug"] = lambda: 1 / 0  # type: ignore[assignment,return-value]
        assert await server.exchange(get("/bug")) == b""
    assert "ZeroDivisionError" in caplog.text


async def test_many_connections_that_come_and_go_leave_nothing() -> None:
    """Aborted at every stage."""
    async with running() as server:
        server.answers["/big"] = lambda: Answer(200, (), Endless(), 1 << 40)

        async def abort(number: int) -> None:
            _, writer = await server.connect()
            writer.write(get("/big")[: number % 60])
            await asyncio.sleep(0.001 * (number % 7))
            writer.transport.abort()

        await asyncio.gather(*(abort(number) for number in range(100)))
        async with asyncio.timeout(20):
            while server.server.active:  # noqa: ASYNC110 - nobody sets an event
                await asyncio.sleep(0.01)


async def test_headers_that_are_slow_or_large_are_counted() -> None:
    """So that an operator sees when these limits bite; a client that just leaves is neither."""
    async with running(header=0.2) as server:
        assert await server.exchange(b"GET / HTTP/1.1\r\nHost: x") == b""
        assert (server.hits.slow_header, server.hits.large_header) == (1, 0)
        assert status(await server.exchange(get("/", b"X: " + b"x" * 40_000))) == 431
        assert status(await server.exchange(get("/" + "x" * 10_000))) == 414
        _, writer = await server.connect()
        writer.write(b"GET / HTT")
        writer.close()
        await asyncio.sleep(0.05)
        assert (server.hits.slow_header, server.hits.large_header) == (1, 2)
