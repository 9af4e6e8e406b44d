"""Every request is bounded in size and time, and what fails is named."""

import asyncio
import logging
from inspect import signature
from time import monotonic

import pytest
from yarl import URL

from clients.oci.errors import (
    NotAsked,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from clients.oci.failure import translated
from clients.oci.request import Request, Timeouts
from clients.oci.retry import Retry
from clients.oci.transport import Transport
from tests.fakes.clock import Clock, Pauses
from tests.fakes.descriptors import none_left
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.tokens import TokenService
from tests.unit.clients.oci.asking import client, ping


async def test_an_answer_is_read_whole(transport: Transport, upstream: FakeRegistry) -> None:
    """Status, headers and body; nothing compressed is asked for, and it says who asks."""
    answer = await transport.fetch(ping(upstream), limit=100)
    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.headers["content-type"] == "application/json"
    (seen,) = upstream.requests
    assert seen.headers["Accept-Encoding"] == "identity"
    assert seen.headers["User-Agent"] == "penstock"
    assert "Authorization" not in seen.headers


async def test_no_descriptor_left_says_nothing_of_the_upstream(
    transport: Transport, upstream: FakeRegistry
) -> None:
    """However often it could not be asked, it is not taken for a host that is down."""
    with none_left():
        for _ in range(10):
            with pytest.raises(NotAsked, match="No file descriptor is left"):
                await transport.fetch(ping(upstream), limit=100)
    assert transport.breakers.states() == {}
    assert (await transport.fetch(ping(upstream), limit=100)).status == 200


async def test_a_machine_whose_clock_is_set_back(upstream: FakeRegistry) -> None:
    """It leaves an upstream alone for as long as before, and knows when its token ends."""
    upstream.add(make_image(), "team/app", ["1.0"])
    upstream.tokens = TokenService()
    clock, wall = Clock(), Clock()
    retry = Retry(attempts=1)
    async with Transport(allow_private=True, retry=retry, clock=clock, now=wall) as transport:
        registry = client(transport, upstream, "team/app")
        authorization = await registry.authorization()
        assert authorization.expires_at is not None
        assert authorization.expires_at.timestamp() == wall.now + 300
        upstream.faults.add("tags", status=429, headers={"Retry-After": "7"}, times=1)
        with pytest.raises(UpstreamRateLimited):
            await registry.check()
        wall.now -= 3600
        clock.now += 8
        upstream.faults.add("tags", status=503, times=6)
        for _ in range(6):
            with pytest.raises(UpstreamUnavailable, match="answered 503"):
                await registry.check()
        wall.now -= 3600
        clock.now += 2
        await registry.check()
        assert len(upstream.tokens.issued) == 1
        clock.now += 300
        await registry.check()
        assert len(upstream.tokens.issued) == 2


def test_what_transports_measure_time_with() -> None:
    """Nothing that somebody sets."""
    assert signature(Transport).parameters["clock"].default is monotonic


async def test_a_body_of_exactly_the_limit_is_taken(transport: Transport, upstream: FakeRegistry) -> None:
    """The limit is the last size that is good."""
    upstream.faults.add("version", body=b"x" * 1000)
    assert len((await transport.fetch(ping(upstream), limit=1000)).body) == 1000
    with pytest.raises(UpstreamInvalid, match="more than 999 bytes"):
        await transport.fetch(ping(upstream), limit=999)


async def test_an_endless_body_is_left_early(transport: Transport, upstream: FakeRegistry) -> None:
    """Of a hundred megabytes, no more is read than what fits into buffers."""
    upstream.faults.add("version", body=b"x" * 100_000_000)
    with pytest.raises(UpstreamInvalid):
        await transport.fetch(ping(upstream), limit=65536)
    assert upstream.requests[0].sent < 20_000_000


async def test_only_the_start_of_an_error_is_read(transport: Transport, upstream: FakeRegistry) -> None:
    """A large error body does not hide the status."""
    upstream.faults.add("version", status=404, body=b"x" * 10_000_000)
    answer = await transport.fetch(ping(upstream), limit=100)
    assert (answer.status, len(answer.body)) == (404, 16 * 1024)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
async def test_compressed_answers_are_refused(
    transport: Transport, upstream: FakeRegistry, encoding: str
) -> None:
    """What is hashed must arrive as it is, and nothing is to swell while it is unpacked."""
    upstream.faults.add("version", headers={"Content-Encoding": encoding})
    with pytest.raises(UpstreamInvalid, match="compressed"):
        await transport.fetch(ping(upstream), limit=100)


@pytest.mark.parametrize("how", [{"stall": True}, {"pause_after": 1}])
@pytest.mark.parametrize("timeouts", [Timeouts(idle=0.1), Timeouts(total=0.1)])
async def test_an_upstream_that_stalls(
    upstream: FakeRegistry, pauses: Pauses, how: dict[str, object], timeouts: Timeouts
) -> None:
    """Silence before and in the middle of an answer ends in an error, and is not tried again."""
    upstream.faults.add("version", **how)
    async with Transport(allow_private=True, timeouts=timeouts, sleep=pauses.sleep) as transport:
        with pytest.raises(UpstreamUnavailable, match="did not answer in time"):
            await transport.fetch(ping(upstream), limit=100)
    assert (upstream.count(), pauses) == (1, [])


async def test_dripping_does_not_go_on_for_ever(upstream: FakeRegistry) -> None:
    """An upstream that is never silent for long still has to come to an end."""
    upstream.faults.add("version", body=b"x" * 1000, rate=20)
    async with Transport(allow_private=True, timeouts=Timeouts(idle=5, total=0.3)) as transport:
        with pytest.raises(UpstreamUnavailable, match="did not answer in time"):
            await transport.fetch(ping(upstream), limit=10_000)


async def test_an_unknown_host(transport: Transport, pauses: Pauses) -> None:
    """A name that does not exist is not asked for again."""
    request = Request(host="r.invalid", url=URL("https://r.invalid/v2/"))
    with pytest.raises(UpstreamUnavailable, match=r"The host name of r\.invalid could not be resolved"):
        await transport.fetch(request, limit=100)
    assert pauses == []


async def test_a_host_name_that_cannot_be(transport: Transport) -> None:
    """A label of more than 63 characters does not get past the resolver's encoder."""
    url = URL(f"https://{'a' * 64}.example/v2/", encoded=True)
    with pytest.raises(UpstreamUnavailable, match="could not be resolved"):
        await transport.fetch(Request(host="r", url=url), limit=100)


@pytest.mark.parametrize(
    "rubbish", [b"\x00\x01\x02\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 abc\r\n\r\n"]
)
async def test_something_that_is_not_http(transport: Transport, rubbish: bytes) -> None:
    """Another service on that port is an upstream error like any other."""

    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(rubbish)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(speak, "127.0.0.1")
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(UpstreamError, match="not proper HTTP"):
            await transport.fetch(Request(host="r", url=URL(f"http://127.0.0.1:{port}/")), limit=100)


async def test_a_header_without_end(transport: Transport, upstream: FakeRegistry) -> None:
    """Headers are bounded as well."""
    upstream.faults.add("version", headers={"X": "x" * 100_000})
    with pytest.raises(UpstreamInvalid):
        await transport.fetch(ping(upstream), limit=100)


async def test_connections_are_reused_and_bounded(upstream: FakeRegistry) -> None:
    """No more are opened to a host than is allowed; the others wait."""
    gate = asyncio.Event()
    upstream.faults.add("version", pause_after=0, gate=gate)
    async with Transport(allow_private=True, connections_per_host=2) as transport:
        tasks = [asyncio.create_task(transport.fetch(ping(upstream), limit=100)) for _ in range(5)]
        await upstream.asked("version", 2)
        # Time in which a third would come, were there one.
        await asyncio.sleep(0.05)
        assert upstream.count() == 2
        gate.set()
        assert [answer.status for answer in await asyncio.gather(*tasks)] == [200] * 5


async def test_cookies_are_not_kept(transport: Transport, upstream: FakeRegistry) -> None:
    """What one answer leaves does not go with the next request."""
    upstream.faults.add("version", headers={"Set-Cookie": "a=b"})
    for _ in range(2):
        await transport.fetch(ping(upstream), limit=100)
    assert all("Cookie" not in seen.headers for seen in upstream.requests)


async def test_an_answer_may_be_left_unread(transport: Transport, upstream: FakeRegistry) -> None:
    """The connection of an answer that was not read to its end is closed, and not used again."""
    upstream.faults.add("version", body=b"x" * 5_000_000, times=1)
    async with transport.open(ping(upstream)) as response:
        with translated(upstream.host):
            assert await response.content.readexactly(10) == b"x" * 10
    assert (await transport.fetch(ping(upstream), limit=100)).body == b"{}"


async def test_nothing_secret_is_logged(
    transport: Transport, upstream: FakeRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the credential nor a signed query, however much is logged; nor are they in a request's text."""
    caplog.set_level(logging.DEBUG)
    url = URL(f"{upstream.base_url}/v2/?signature=hush-hush")
    request = Request(host=upstream.host, url=url, authorization="Bearer tok-1234")
    await transport.fetch(request, limit=100)
    assert upstream.requests[0].headers["Authorization"] == "Bearer tok-1234"
    assert "/v2/" in caplog.text
    assert "tok-1234" not in caplog.text + repr(request)
    assert "hush-hush" not in caplog.text
