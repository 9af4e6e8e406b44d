"""Blobs stream from anywhere in them, without credentials to strangers, and their failures are told apart."""

import asyncio
import hashlib
from dataclasses import replace

import pytest

from clients.oci import body
from clients.oci.blob import BlobAccess, BlobStream, open_blob
from clients.oci.digest import Digest
from clients.oci.errors import (
    ForbiddenAddress,
    UpstreamBroken,
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from clients.oci.request import Timeouts
from clients.oci.transport import Transport
from tests.fakes.blobs import GeneratedBlob, content_of
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.fakes.wire import send, wire

BLOB = GeneratedBlob(seed=1, size=1_000_000)
IMAGE = make_image([BLOB])
CONTENT = content_of(BLOB)
# Bounds that show soon, below which nothing is silent for long.
DEMANDING = Timeouts(idle=30, total=0.5, floor=1000, window=0.2)
# Seconds after which something goes on for ever.
PATIENCE = 10


@pytest.fixture(params=["short", "long"], autouse=True)
def worth(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds for short bodies and for long ones, whose rest is taken from the connection itself."""
    if request.param == "long":
        monkeypatch.setattr(body, "_WORTH", 1)
    else:
        monkeypatch.setattr(body, "_WORTH", 1 << 40)


@pytest.fixture
def access(upstream: FakeRegistry) -> BlobAccess:
    """Access to a repository with one generated layer."""
    upstream.add(IMAGE, "team/app", ["1.0"])
    return BlobAccess(upstream.base_url, "team/app", "Bearer tok-1234", allow_private=True)


async def read(stream: BlobStream) -> bytes:
    """All of a stream."""
    return b"".join([chunk async for chunk in stream.chunks()])


async def read_until_error(stream: BlobStream, kind: type[UpstreamError], words: str) -> bytes:
    """What comes before the transfer fails, as it must."""
    got = bytearray()

    async def read_on() -> None:
        async for chunk in stream.chunks():
            got.extend(chunk)

    with pytest.raises(kind, match=words):
        await read_on()
    return bytes(got)


async def test_a_whole_blob(transport: Transport, access: BlobAccess, upstream: FakeRegistry) -> None:
    """Size and ETag are known before the bytes; the credential goes with the one request."""
    async with open_blob(transport, access, BLOB.digest) as stream:
        assert (stream.status, stream.offset, stream.size) == (200, 0, BLOB.size)
        assert stream.etag == f'"{BLOB.digest}"'
        assert await read(stream) == CONTENT
    (seen,) = upstream.requests
    assert (seen.method, seen.path) == ("GET", f"/v2/team/app/blobs/{BLOB.digest}")
    assert seen.headers["Authorization"] == "Bearer tok-1234"
    assert "Range" not in seen.headers


@pytest.mark.parametrize("offset", [1, 262_144, 999_999])
async def test_the_rest_of_a_blob(transport: Transport, access: BlobAccess, offset: int) -> None:
    """From where a transfer broke off."""
    async with open_blob(transport, access, BLOB.digest, offset=offset) as stream:
        assert (stream.status, stream.offset, stream.size) == (206, offset, BLOB.size)
        assert await read(stream) == CONTENT[offset:]


@pytest.mark.parametrize("offset", [0, 500])
async def test_a_part_of_a_blob(transport: Transport, access: BlobAccess, offset: int) -> None:
    """No more of it than is wanted comes, also from its beginning."""
    async with open_blob(transport, access, BLOB.digest, offset=offset, stop=700) as stream:
        assert (stream.status, stream.offset, stream.size) == (206, offset, BLOB.size)
        assert await read(stream) == CONTENT[offset:700]


async def test_a_range_that_is_ignored(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry
) -> None:
    """The stream says that it starts at the beginning."""
    upstream.ranges = False
    async with open_blob(transport, access, BLOB.digest, offset=500) as stream:
        assert (stream.status, stream.offset, stream.size) == (200, 0, BLOB.size)
        assert await read(stream) == CONTENT


async def test_a_blob_of_unknown_size(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry
) -> None:
    """Without Content-Length, the end of the transfer is the end of the blob."""
    upstream.faults.add("blobs", headers={"Content-Length": None})
    async with open_blob(transport, access, BLOB.digest) as stream:
        assert stream.size is None
        assert await read(stream) == CONTENT


@pytest.mark.parametrize(
    ("content_range", "words"),
    [
        ("bytes 501-1000000/1000001", "left out a part"),
        ("bytes 500-999998/1000000", "another length than it says"),
        ("bytes 500-400/1000000", "another length than it says"),
        ("bytes 500-999999/x", "without saying which"),
        ("bytes */1000000", "without saying which"),
        ("items 500-999999/1000000", "without saying which"),
        (None, "without saying which"),
    ],
)
async def test_parts_that_do_not_fit(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry, content_range: str | None, words: str
) -> None:
    """A part that cannot be put in its place is refused before a byte of it is read."""
    upstream.faults.add("blobs", headers={"Content-Range": content_range, "Content-Length": "999500"})
    with pytest.raises(UpstreamInvalid, match=words):
        async with open_blob(transport, access, BLOB.digest, offset=500):
            pytest.fail("was opened")


async def test_a_part_that_starts_earlier_says_so(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry
) -> None:
    """The reader can skip what it has; an unknown size is no obstacle."""
    headers = {"Content-Range": "bytes 499-999998/*"}
    upstream.faults.add("blobs", headers=headers)
    async with open_blob(transport, access, BLOB.digest, offset=500) as stream:
        assert (stream.offset, stream.size) == (499, None)


async def test_redirected_to_storage(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry, elsewhere: FakeRegistry
) -> None:
    """The storage gets the range, and no Authorization."""
    elsewhere.add(IMAGE, "team/app")
    upstream.faults.add("blobs", redirect=elsewhere.base_url)
    async with open_blob(transport, access, BLOB.digest, offset=1000) as stream:
        assert await read(stream) == CONTENT[1000:]
    (seen,) = elsewhere.requests
    assert "Authorization" not in seen.headers
    assert seen.headers["Range"] == "bytes=1000-"


async def test_private_addresses_by_access(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry
) -> None:
    """The access decides, whatever the transport would allow."""
    strict = BlobAccess(access.base_url, access.repository, access.authorization, allow_private=False)
    with pytest.raises(ForbiddenAddress):
        async with open_blob(transport, strict, BLOB.digest):
            pytest.fail("was opened")
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, UpstreamDenied),
        (403, UpstreamDenied),
        (404, UpstreamNotFound),
        (416, UpstreamInvalid),
        (429, UpstreamRateLimited),
        (500, UpstreamUnavailable),
        (503, UpstreamUnavailable),
        (204, UpstreamInvalid),
    ],
)
async def test_refusals(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry, status: int, kind: type[UpstreamError]
) -> None:
    """Asked once, each answer is its error; the reader decides whether to ask again."""
    upstream.faults.add("blobs", status=status, body=b"", headers={"Retry-After": "9"})
    with pytest.raises(kind) as caught:
        async with open_blob(transport, access, BLOB.digest):
            pytest.fail("was opened")
    assert upstream.count() == 1
    assert caught.value.host == upstream.host
    assert caught.value.retry_after == (9 if status in (429, 500, 503) else None)


async def test_an_unknown_blob(transport: Transport, access: BlobAccess) -> None:
    """Is named, in the registry's own words as well."""
    unknown = Digest.of(b"unknown")
    with pytest.raises(UpstreamNotFound, match=rf"the blob {unknown} of team/app \(BLOB_UNKNOWN"):
        async with open_blob(transport, access, unknown):
            pytest.fail("was opened")


async def test_a_blob_that_was_compressed(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry
) -> None:
    """Is refused before a byte is read, since it could not be verified."""
    upstream.faults.add("blobs", headers={"Content-Encoding": "gzip"})
    with pytest.raises(UpstreamInvalid, match="compressed"):
        async with open_blob(transport, access, BLOB.digest):
            pytest.fail("was opened")


@pytest.mark.parametrize("how", [{"cut_after": 300_000}, {"content_length": 1_000_001}])
async def test_a_blob_that_breaks_off(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry, how: dict[str, int]
) -> None:
    """What came is given, and then the error: a short blob never looks like a whole one."""
    upstream.faults.add("blobs", **how)
    async with open_blob(transport, access, BLOB.digest) as stream:
        got = await read_until_error(stream, UpstreamBroken, "broke off")
    assert got == CONTENT[: how.get("cut_after", BLOB.size)]


async def test_a_blob_that_stalls(access: BlobAccess, upstream: FakeRegistry) -> None:
    """Silence ends the transfer; slowness does not."""
    upstream.faults.add("blobs", pause_after=300_000)
    async with Transport(timeouts=Timeouts(idle=0.2, total=0.2)) as transport:
        async with open_blob(transport, access, BLOB.digest) as stream:
            got = await read_until_error(stream, UpstreamUnavailable, "did not answer in time")
        assert got == CONTENT[:300_000]
        upstream.faults.clear()
        upstream.faults.add("blobs", rate=2_000_000)
        async with open_blob(transport, access, BLOB.digest) as stream:
            assert await read(stream) == CONTENT


async def test_a_blob_that_drips(access: BlobAccess, upstream: FakeRegistry) -> None:
    """Bytes that keep coming are not enough: too few of them while they are waited for end the transfer."""
    upstream.faults.add("blobs", rate=50)
    async with (
        Transport(timeouts=DEMANDING) as transport,
        asyncio.timeout(PATIENCE),
        open_blob(transport, access, BLOB.digest) as stream,
    ):
        got = await read_until_error(stream, UpstreamUnavailable, "sent fewer than 1000 bytes a second")
    assert CONTENT.startswith(got)


@pytest.mark.parametrize("status", [200, 503])
async def test_a_body_that_drips_what_is_no_part_of_it(access: BlobAccess, status: int) -> None:
    """The names of a chunk's extensions keep a connection busy without a byte for the reader."""

    async def speak(writer: asyncio.StreamWriter) -> None:
        await send(writer, f"HTTP/1.1 {status} -\r\nTransfer-Encoding: chunked\r\n\r\n5;".encode())
        while True:
            await send(writer, b"x")
            await asyncio.sleep(0.02)

    async with wire(speak) as url, Transport(timeouts=DEMANDING) as transport, asyncio.timeout(PATIENCE):
        with pytest.raises(UpstreamUnavailable, match="bytes a second" if status == 200 else "in time"):
            async with open_blob(transport, replace(access, base_url=url), BLOB.digest) as stream:
                await read(stream)


async def test_a_reader_that_is_slow(access: BlobAccess, upstream: FakeRegistry) -> None:
    """Is not taken for a slow upstream: what the reader does between two pieces does not count."""
    quick = Timeouts(idle=5, total=5, floor=400_000, window=0.05)
    async with Transport(timeouts=quick) as transport, open_blob(transport, access, BLOB.digest) as stream:
        got = bytearray()
        async for chunk in stream.chunks():
            got += chunk
            if len(got) < BLOB.size:
                await asyncio.sleep(0.1)
    assert got == CONTENT


async def test_a_reader_that_leaves(transport: Transport, access: BlobAccess, upstream: FakeRegistry) -> None:
    """Ends the transfer, and the transport is as good as before."""
    gate = asyncio.Event()
    upstream.faults.add("blobs", pause_after=300_000, gate=gate, times=1)
    async with open_blob(transport, access, BLOB.digest) as stream:
        async for _ in stream.chunks():
            break
    gate.set()
    async with open_blob(transport, access, BLOB.digest) as stream:
        assert await read(stream) == CONTENT


async def test_a_large_blob_does_not_pile_up(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry
) -> None:
    """A reader that pauses holds the upstream back: the rest stays in sockets and small buffers."""
    large = GeneratedBlob(seed=2, size=64 * 1024 * 1024)
    upstream.add(make_image([large]), "team/app")
    hasher = hashlib.sha256()
    async with open_blob(transport, access, large.digest) as stream:
        chunks = stream.chunks()
        hasher.update(await anext(chunks))
        await asyncio.sleep(0.2)
        assert upstream.bytes_sent < 32 * 1024 * 1024
        async for chunk in chunks:
            hasher.update(chunk)
    assert hasher.hexdigest() == large.digest.encoded


async def test_pieces_stay_as_they_were_given(
    transport: Transport, access: BlobAccess, upstream: FakeRegistry
) -> None:
    """A reader may keep all of them, or a part of one, while the rest arrives."""
    large = GeneratedBlob(seed=3, size=8 * 1024 * 1024)
    upstream.add(make_image([large]), "team/app")
    async with open_blob(transport, access, large.digest) as stream:
        pieces = [(bytes(piece), piece[1:]) async for piece in stream.chunks()]
    assert all(then[1:] == now for then, now in pieces)


def test_access_does_not_show_its_credential(access: BlobAccess) -> None:
    """Not even where somebody logs it."""
    assert "tok-1234" not in repr(access)
