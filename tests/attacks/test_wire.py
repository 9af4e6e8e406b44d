"""Attacks below HTTP's meaning: floods of what is no body, and headers and numbers that nobody expects."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from clients.oci.blob import BlobAccess, open_blob
from clients.oci.credential import Basic
from clients.oci.digest import Digest
from clients.oci.errors import UnknownHost, UpstreamError, UpstreamInvalid
from clients.oci.registry import Registry
from clients.oci.transport import Timeouts, Transport
from clients.oci.upstream import Upstream
from tests.fakes.wire import Speak, send, wire

MIB = 1 << 20
MANIFEST = b"Content-Type: application/vnd.oci.image.manifest.v1+json\r\n"
INDEX = b"Content-Type: application/vnd.oci.image.index.v1+json\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EMPTY = Digest.of(b"")
# Seconds after which something goes on for ever.
PATIENCE = 20


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    """A transport whose time-outs end no flood."""
    async with Transport(allow_private=True, timeouts=Timeouts(idle=60, total=60)) as transport:
        yield transport


class Flood:
    """Sends some bytes, and then others for as long as somebody reads them; `given` counts these."""

    def __init__(self, first: bytes, piece: bytes) -> None:
        self._first = first
        self._piece = piece * (16 * 1024 // len(piece) + 1)
        self.given = 0

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        await send(writer, self._first)
        while True:
            await send(writer, self._piece)
            self.given += len(self._piece)


async def read_blob(transport: Transport, url: str) -> bytes:
    """Reads a blob as a node does."""
    access = BlobAccess(url, "team/app", "", allow_private=True)
    async with open_blob(transport, access, EMPTY) as stream:
        return b"".join([bytes(chunk) async for chunk in stream.chunks()])


def registry_at(transport: Transport, url: str, credential: Basic | None = None) -> Registry:
    """A client of a repository there."""
    upstream = Upstream.parse(f"{url.removeprefix('http://')}/team/app", plain_http=True)
    return Registry(transport, upstream, credential)


@pytest.mark.parametrize("kind", ["manifest", "blob"])
@pytest.mark.parametrize(
    ("first", "piece"),
    [
        pytest.param(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", id="interim-answers"),
        pytest.param(b"", b"\r\n", id="empty-lines"),
        pytest.param(b"HTTP/1.1 200 ", b"x", id="reason"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", id="headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"y", id="header"),
        pytest.param(CHUNKED + b"1;", b"x", id="chunk-extension"),
        pytest.param(CHUNKED + b"1\r\na\r\n0\r\n", b"X: y\r\n", id="trailers"),
        pytest.param(CHUNKED + b"1\r\na\r\n0\r\nX: ", b"y", id="trailer"),
    ],
)
async def test_flood_of(transport: Transport, kind: str, first: bytes, piece: bytes) -> None:
    """What is no body is read up to a bound, whatever it is, and not until a time-out."""
    flood = Flood(first, piece)
    async with wire(flood) as url, asyncio.timeout(PATIENCE):
        reading = (
            read_blob(transport, url) if kind == "blob" else registry_at(transport, url).get_manifest("1.0")
        )
        with pytest.raises(UpstreamInvalid, match="not proper HTTP"):
            await reading
    # And what the sockets hold.
    assert flood.given < 16 * MIB


async def test_blob_in_chunks_of_a_byte(transport: Transport) -> None:
    """Each costs the event loop more than it costs to send: 100 MiB would keep it busy for minutes."""
    flood = Flood(CHUNKED, b"1\r\na\r\n")
    async with wire(flood) as url, asyncio.timeout(PATIENCE):
        with pytest.raises(UpstreamInvalid, match="not proper HTTP"):
            await read_blob(transport, url)
    assert flood.given < 16 * MIB


async def test_an_honest_blob_in_chunks(transport: Transport) -> None:
    """Chunks as small as servers make them are no attack, however many there are."""
    chunk = b"200\r\n" + bytes(512) + b"\r\n"

    async def speak(writer: asyncio.StreamWriter) -> None:
        await send(writer, CHUNKED, *[chunk * 512] * 64, b"0\r\n\r\n")

    async with wire(speak) as url, asyncio.timeout(PATIENCE):
        assert await read_blob(transport, url) == bytes(16 * MIB)


def answer(status: int, headers: bytes, body: bytes = b"", *, length: bool = True) -> Speak:
    """One answer, byte for byte."""
    stated = b"Content-Length: %d\r\n" % len(body) if length else b""

    async def speak(writer: asyncio.StreamWriter) -> None:
        await send(writer, b"HTTP/1.1 %d -\r\n%b%b\r\n%b" % (status, headers, stated, body))

    return speak


def challenge(parameters: bytes) -> Speak:
    """One that wants a token."""
    return answer(401, b"WWW-Authenticate: Bearer " + parameters + b"\r\n")


ODD: Mapping[str, Speak] = {
    "realm-that-is-no-text": challenge(b'realm="http://127.0.0.1/\xff"'),
    "service-that-is-no-text": challenge(b'realm="http://127.0.0.1:1/",service="\xff\x01"'),
    "scope-that-is-no-text": challenge(b'realm="http://127.0.0.1:1/",scope="\xff"'),
    "realm-at-no-port": challenge(b'realm="http://127.0.0.1:99999/"'),
    "realm-at-no-name": challenge(b'realm="http://xn--a/"'),
    "redirect-to-no-name": answer(302, b"Location: http://xn--a/\r\n"),
    "redirect-to-no-port": answer(302, b"Location: http://127.0.0.1:99999/\r\n"),
    "redirect-to-an-interface": answer(302, b"Location: http://[::1%25lo]/\r\n"),
    "redirect-to-an-empty-label": answer(302, b"Location: http://a..b/\r\n"),
    "redirect-to-no-host": answer(302, b"Location: http:///x\r\n"),
    "switching-protocols": answer(101, b"Upgrade: x\r\nConnection: upgrade\r\n"),
    "md5": answer(200, MANIFEST + b"Docker-Content-Digest: md5:" + b"a" * 32 + b"\r\n"),
    "digest-that-is-no-text": answer(200, MANIFEST + b"Docker-Content-Digest: \xff\r\n"),
    "type-that-is-no-text": answer(200, b"Content-Type: image/\xff\r\n", b"{}"),
    "encoding-that-is-no-text": answer(200, b"Content-Encoding: \xff\r\n", b"{}"),
    "number-of-5000-digits": answer(200, MANIFEST, b'{"schemaVersion": ' + b"9" * 5000 + b"}"),
    "number-without-an-end": answer(200, MANIFEST, b'{"schemaVersion": 1e99999}'),
    "two-lengths": answer(200, b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello", length=False),
    "negative-length": answer(200, b"Content-Length: -5\r\n", length=False),
    "length-of-100-digits": answer(200, b"Content-Length: " + b"9" * 100 + b"\r\n", length=False),
    "length-and-chunks": answer(200, b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
    "negative-chunk": answer(200, b"Transfer-Encoding: chunked\r\n", b"-5\r\nhello\r\n", length=False),
    "endless-chunk": answer(
        200, b"Transfer-Encoding: chunked\r\n", b"f" * 17 + b"\r\nhello\r\n", length=False
    ),
    "letters-that-are-none": answer(
        404, b"", b'{"errors":[{"code":"X","message":"\\u0000\\u001b\\ud800\\u202e"}]}'
    ),
    "error-that-is-deep": answer(404, b"", b"[" * 16_000),
    "negative-wait": answer(429, b"Retry-After: -5\r\n"),
    "wait-that-is-no-text": answer(429, b"Retry-After: \xff\r\n"),
    "wait-of-all-time": answer(
        429, b"Date: Mon, 01 Jan 0001 00:00:00 +2359\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 -2359\r\n"
    ),
    "status-999": answer(999, b""),
    "less-than-nothing-left": answer(404, b"RateLimit-Limit: 1\r\nRateLimit-Remaining: -1\r\n"),
}


@pytest.mark.parametrize("what", ODD)
async def test_answer_with(transport: Transport, what: str) -> None:
    """Whatever is in it, it is an error of the upstream, in a sentence that can be shown and stored."""
    async with wire(ODD[what]) as url, asyncio.timeout(PATIENCE):
        for credential in (None, Basic("alice", "secret")):
            with pytest.raises(UpstreamError) as caught:
                await registry_at(transport, url, credential).get_manifest("1.0")
            assert str(caught.value).encode().decode().isprintable()
            assert caught.value.retry_after is None or 0 <= caught.value.retry_after <= 24 * 3600


@pytest.mark.parametrize("size", [b"-1", b"9223372036854775808", b"1e3", b"true", b'"5"', b"9" * 5000])
async def test_referrer_with_size(transport: Transport, size: bytes) -> None:
    """Sizes are what can be stored and summed."""
    descriptor = b'{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "%b", "size": %b}'
    body = b'{"manifests": [' + descriptor % (str(EMPTY).encode(), size) + b"]}"
    async with wire(answer(200, INDEX, body)) as url:
        with pytest.raises(UpstreamInvalid):
            await registry_at(transport, url).referrers(EMPTY)


async def test_upstream_whose_name_nothing_decodes(transport: Transport) -> None:
    """A user may write it as well as a registry: it is a host that is not there."""
    registry = Registry(transport, Upstream.parse("xn--a.invalid/team/app"))
    with pytest.raises(UnknownHost):
        await registry.check()
