"""The fast path gives, byte for byte, what the ordinary path gives, whatever a client sends."""

import asyncio
import base64
import re
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from dataplane.node import Node
from tests.fakes.blobs import content_of
from tests.fakes.images import Image, make_image
from tests.integration.dataplane.conftest import Setup, until

DATE = re.compile(rb"\r\nDate: [^\r]*")
# As it is made; one that the client sent is compared.
MADE_ID = re.compile(rb"\r\nX-Request-Id: [0-9a-f]{12}-[0-9a-f]+")
# What stands between the parts of a body is random.
BOUNDARY = re.compile(rb"(?<=boundary=)[0-9a-f]{32}|(?<=\r\n--)[0-9a-f]{32}")


class Two:
    """A node with the fast path and one without, both with the same image, and warm."""

    def __init__(self, setup: Setup, slow: Node, image: Image) -> None:
        self.setup = setup
        self.fast = setup.node
        self.slow = slow
        self.image = image
        self.token = setup.token

    def get(self, path: str, *headers: str, method: str = "GET", host: str = "Host: x") -> bytes:
        """An ordinary request below `/v2/acme/app/`."""
        lines = [f"{method} /v2/acme/app/{path} HTTP/1.1", host, f"Authorization: Bearer {self.token}"]
        return "\r\n".join((*lines, *headers, "", "")).encode()

    def last(self) -> bytes:
        """A request behind which the node hangs up."""
        return self.get("manifests/1.0", "Connection: close", method="HEAD")

    async def fast_answers(self) -> float:
        return await self.setup.metric("penstock_node_fast_answers_total")


@pytest.fixture
async def two(setup: Setup, tmp_path: Path) -> AsyncIterator[Two]:
    """Both nodes."""
    image = make_image([b"bottom", 700_000])
    await setup.artifact(image)
    slow = setup.new_node(fast_path=False, data_dir=tmp_path / "slow")
    async with slow:
        await until(lambda: slow.state.revision == setup.plane.revision)
        for base in (setup.node.registry_address, slow.registry_address):
            paths = ["manifests/1.0", f"manifests/{image.digest}"]
            paths += [f"blobs/{digest}" for digest in image.blobs]
            for path in paths:
                answer = await setup.request("GET", f"/v2/acme/app/{path}", base=base)
                assert answer.status == 200
        # A blob's last byte is there before it is stored.
        await until(lambda: not setup.node._measures.running_fills + slow._measures.running_fills)
        yield Two(setup, slow, image)


async def exchange(node: Node, pieces: list[bytes]) -> bytes:
    """Send the pieces one after the other, and give all that comes until the node hangs up."""
    host, _, port = node.registry_address.rpartition(":")
    loop = asyncio.get_running_loop()
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.setblocking(False)
        reading = asyncio.create_task(everything(connection))
        try:
            for piece in pieces:
                await loop.sock_sendall(connection, piece)
                await asyncio.sleep(0.002 if len(pieces) > 1 else 0)
        except ConnectionError:
            # It was hung up on, in mid-sentence; what came before that is looked at.
            pass
        async with asyncio.timeout(20):
            received = await reading
    received = BOUNDARY.sub(b"-", received)
    return MADE_ID.sub(b"\r\nX-Request-Id: -", DATE.sub(b"\r\nDate: -", received))


async def everything(connection: socket.socket) -> bytes:
    """What comes until the end, a reset included: that is what sending to a node that has hung up gets."""
    received = bytearray()
    with suppress(ConnectionResetError):
        while chunk := await asyncio.get_running_loop().sock_recv(connection, 1 << 16):
            received += chunk
    return bytes(received)


async def compare(two: Two, *pieces: bytes) -> bytes:
    """Give what both say, which must be the same."""
    fast, slow = await asyncio.gather(exchange(two.fast, list(pieces)), exchange(two.slow, list(pieces)))
    assert fast == slow
    return fast


ORDINARY = [
    "manifests/1.0",
    "manifests/{image}",
    "blobs/{layer}",
    # What containerd asks a mirror.
    "manifests/{image}?ns=docker.io",
    "blobs/{layer}?ns=localhost%3A5000",
]


@pytest.mark.parametrize("path", ORDINARY)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_ordinary_and_warm(two: Two, path: str, method: str) -> None:
    """It is answered in front of the parser, and that cannot be told from the answer."""
    layer = two.image.layers[1]
    path = path.format(image=two.image.digest, layer=layer.digest)
    before = await two.fast_answers()
    counted = ("route", "manifest" if path.startswith("manifests") else "blob")
    labels = {"method": method, counted[0]: counted[1], "status": "200"}
    seen = await two.setup.metric("penstock_node_requests_total", **labels)
    request = two.get(path, "User-Agent: docker/20.10", "Accept: a/b", "Accept: c/d", method=method)
    received = await compare(two, request + request + two.last())
    assert received.count(b"HTTP/1.1 200 OK\r\n") == 3
    content = two.image.manifest if path.startswith("manifests") else content_of(layer)
    assert received.count(content) == (2 if method == "GET" else 0)
    assert await two.fast_answers() == before + 2
    more = 3 if path.startswith("manifests") and method == "HEAD" else 2
    assert await two.setup.metric("penstock_node_requests_total", **labels) == seen + more


def corpus(two: Two) -> dict[str, bytes]:
    """Requests of every kind; each is followed by one that ends the connection."""
    get, token, image = two.get, two.token, two.image
    layer = image.layers[1].digest
    manifest = "manifests/1.0"
    basic = base64.b64encode(f"me:{token}".encode()).decode()
    line, host, bearer = f"GET /v2/acme/app/{manifest} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"

    def raw(*lines: str, end: str = "\r\n") -> bytes:
        return end.join((*lines, "", "")).encode("latin-1")

    return {
        "ordinary": get(manifest),
        "pipelined": get(manifest) * 5 + get(f"blobs/{layer}") + get(manifest, method="HEAD"),
        "slow between fast": get(manifest) + get("tags/list") + get(manifest) + get(f"blobs/{layer}"),
        "post between": get(manifest) + get("x", "Content-Length: 3", method="POST") + b"abc" + get(manifest),
        "lower-case headers": raw(line, "host: x", f"authorization: bearer {token}"),
        "basic": raw(line, host, f"Authorization: Basic {basic}"),
        "access token": raw(line, host, f"Authorization: AccessToken {token}"),
        "no token": raw(line, host),
        "wrong token": raw(line, host, f"Authorization: Bearer {token[:-1]}x"),
        "malformed basic": raw(line, host, "Authorization: Basic ???"),
        "two tokens": raw(line, host, bearer, "Authorization: Bearer other"),
        "no host": raw(line, bearer),
        "two hosts": raw(line, host, "Host: y", bearer),
        "empty host": raw(line, "Host:", bearer),
        "nothing but the line": raw(line),
        "no colon": raw(line, host, bearer, "nonsense"),
        "space before colon": raw(line, host, bearer, "X-A : b"),
        "folded": raw(line, host, bearer, "X-A: b", " c"),
        "tabs": raw(line, "Host:\tx\t", bearer, "X-A:\t b \t c "),
        "empty value": raw(line, host, bearer, "X-A:"),
        "bytes above ASCII": raw(line, host, bearer, "X-A: \xe9\xff"),
        "control character": raw(line, host, bearer, "X-A: a\x01b"),
        "null": raw(line, host, bearer, "X-A: a\x00b"),
        "bare line feeds": raw(line, host, bearer, end="\n"),
        "one bare line feed": raw(line, f"{host}\nX-A: b", bearer),
        "line feeds that end the headers": raw(line, f"{host}\n\n", bearer),
        "bare carriage return": raw(line, host, bearer, "X-A: a\rb"),
        "empty lines first": b"\r\n" + get(manifest),
        "many empty lines first": b"\r\n\r\n" + get(manifest),
        "HTTP/1.0": raw(f"GET /v2/acme/app/{manifest} HTTP/1.0", host, bearer),
        "HTTP/1.0 kept": raw(f"GET /v2/acme/app/{manifest} HTTP/1.0", host, bearer, "Connection: keep-alive"),
        "HTTP/1.2": raw(f"GET /v2/acme/app/{manifest} HTTP/1.2", host, bearer),
        "HTTP/2.0": raw(f"GET /v2/acme/app/{manifest} HTTP/2.0", host, bearer),
        "lower-case version": raw(f"GET /v2/acme/app/{manifest} http/1.1", host, bearer),
        "lower-case method": raw(f"get /v2/acme/app/{manifest} HTTP/1.1", host, bearer),
        "two spaces": raw(f"GET  /v2/acme/app/{manifest} HTTP/1.1", host, bearer),
        "space at the end": raw(f"{line} ", host, bearer),
        "no version": raw(f"GET /v2/acme/app/{manifest}", host, bearer),
        "absolute form": raw(f"GET http://x/v2/acme/app/{manifest} HTTP/1.1", host, bearer),
        "percent": get("manifests/%31.0"),
        "mirrored": get(f"{manifest}?ns=docker.io"),
        "mirrored for a port": get(f"blobs/{layer}?ns=localhost%3A5000"),
        "mirrored for nobody": get(f"{manifest}?ns="),
        "mirrored for two": get(f"{manifest}?ns=a&ns=b"),
        "malformed mirrored": get(f"{manifest}?ns=%zz"),
        "mirrored upload": get("blobs/uploads/?ns=docker.io"),
        "query": get(f"{manifest}?x=y"),
        "empty query": get(f"{manifest}?"),
        "fragment": get(f"{manifest}#x"),
        "slash at the end": get(f"{manifest}/"),
        "two slashes": get(f"/{manifest}"),
        "dots": get(f"../app/{manifest}"),
        "upper-case name": raw(line.replace("acme", "Acme"), host, bearer),
        "unknown name": raw(line.replace("acme", "other"), host, bearer),
        "unknown tag": get("manifests/2.0"),
        "malformed tag": get("manifests/.x"),
        "malformed digest": get("manifests/sha256:abc"),
        "unknown digest": get(f"blobs/sha256:{'0' * 64}"),
        "a manifest as a blob": get(f"blobs/{image.digest}"),
        "a blob as a manifest": get(f"manifests/{layer}"),
        "uploads": get("blobs/uploads/"),
        "upload": get("blobs/uploads/1"),
        "delete": get(manifest, method="DELETE"),
        "options": get(manifest, method="OPTIONS"),
        "request id": get(manifest, "X-Request-Id: 3f-a.b~c:d@e=f+g/h", method="HEAD"),
        "request id of a blob": get(f"blobs/{layer}", "x-request-id: 1"),
        "malformed request id": get(manifest, 'X-Request-Id: a"b'),
        "long request id": get(manifest, f"X-Request-Id: {'a' * 129}"),
        "two request ids": get(manifest, "X-Request-Id: a", "X-Request-Id: b"),
        "empty request id": get(manifest, "X-Request-Id:"),
        "forwarded": get(manifest, "X-Forwarded-For: 198.51.100.7, 10.0.0.1"),
        "forwarded for nobody": get(manifest, "X-Forwarded-For: unknown"),
        "forwarded twice": get(manifest, "X-Forwarded-For: 198.51.100.7", "X-Forwarded-For: 10.0.0.1"),
        "unchanged": get(manifest, f'If-None-Match: "{image.digest}"'),
        "any": get(manifest, "If-None-Match: *"),
        "changed": get(manifest, 'If-None-Match: "other"'),
        "unchanged blob": get(f"blobs/{layer}", f'If-None-Match: "{layer}"'),
        "the same": get(manifest, f'If-Match: "{image.digest}"'),
        "not the same": get(manifest, 'If-Match: "other"', method="HEAD"),
        "the same blob": get(f"blobs/{layer}", f'If-Match: "{layer}"'),
        "not the same blob": get(f"blobs/{layer}", f'if-match: W/"{layer}"'),
        "unmodified": get(f"blobs/{layer}", "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"),
        "range": get(f"blobs/{layer}", "Range: bytes=10-19"),
        "range to the end": get(f"blobs/{layer}", "Range: bytes=699000-"),
        "suffix": get(f"blobs/{layer}", "Range: bytes=-5"),
        "unsatisfiable": get(f"blobs/{layer}", "Range: bytes=700000-"),
        "several ranges": get(f"blobs/{layer}", "Range: bytes=0-1,4-5"),
        "other unit": get(f"blobs/{layer}", "Range: pages=1-2"),
        "range if": get(f"blobs/{layer}", "Range: bytes=0-9", f'If-Range: "{layer}"'),
        "range if not": get(f"blobs/{layer}", "Range: bytes=0-9", 'If-Range: "other"'),
        "range of a manifest": get(manifest, "Range: bytes=0-1"),
        "HEAD with a range": get(f"blobs/{layer}", "Range: bytes=0-1", method="HEAD"),
        "kept": get(manifest, "Connection: keep-alive"),
        "kept, in capitals": get(manifest, "CONNECTION: Keep-Alive"),
        "closed": get(manifest, "Connection: close"),
        "closed blob": get(f"blobs/{layer}", "Connection: close"),
        "closed and kept": get(manifest, "Connection: keep-alive", "Connection: close"),
        "closed among others": get(manifest, "Connection: TE, close", "TE: trailers"),
        "upgrade": get(manifest, "Connection: Upgrade", "Upgrade: h2c"),
        "body": get(manifest, "Content-Length: 5") + b"hello",
        "no body": get(manifest, "Content-Length: 0"),
        "negative body": get(manifest, "Content-Length: -1"),
        "two lengths": get(manifest, "Content-Length: 3", "Content-Length: 4") + b"abcd",
        "smuggled": get(manifest, "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        "chunked": get(manifest, "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        "expect": get(manifest, "Expect: 100-continue"),
        "long header": get(manifest, f"X-A: {'a' * 10_000}"),
        "too long headers": get(manifest, f"X-A: {'a' * 40_000}"),
        "too long target": get(f"manifests/{'a' * 9000}"),
        "many headers": get(manifest, *(f"X-{number}: b" for number in range(100))),
        "nonsense": b"nonsense\r\n\r\n",
        "binary": bytes(range(128, 256)) + b"\r\n\r\n",
    }


async def test_a_corpus_of_requests(two: Two) -> None:
    """Good ones, unusual ones and malformed ones, at once and cut in two in the worst places."""
    for name, sent in corpus(two).items():
        whole = await compare(two, sent + two.last())
        assert whole, name
        for at in (1, sent.find(b"\r\n") + 1, len(sent) - 3, len(sent) - 1):
            assert await compare(two, sent[:at], sent[at:] + two.last()) == whole, (name, at)


async def test_a_byte_at_a_time(two: Two) -> None:
    """A client that sends so is answered like any other."""
    request = two.get("manifests/1.0") + two.last()
    whole = await compare(two, request)
    assert await compare(two, *(request[at : at + 1] for at in range(len(request)))) == whole


async def test_what_changes_is_looked_at_every_time(two: Two) -> None:
    """On one connection, with the same bytes: the token is taken away, the tag moves, the artifact goes."""
    setup, plane = two.setup, two.setup.plane
    moved = make_image([b"moved"], seed=5)
    (artifact,) = plane.artifacts.values()
    assert b"200 OK" in await compare(two, two.get("manifests/1.0") + two.last())
    plane.hold(artifact, moved, ["1.0"])
    await in_force(two)
    received = await compare(two, two.get("manifests/1.0") * 2 + two.last())
    assert received.count(moved.manifest) == 2
    two.token = setup.plane.add_token(artifact.organization_uid)
    await in_force(two)
    assert b"200 OK" in await compare(two, two.get("manifests/1.0") + two.last())
    plane.remove_token(two.token)
    await in_force(two)
    received = await compare(
        two, two.get("manifests/1.0") + two.get(f"blobs/{two.image.layers[0].digest}") + two.last()
    )
    assert received.count(b"HTTP/1.1 401 ") == 3


async def in_force(two: Two) -> None:
    """Wait until both run what the control plane has."""
    for node in (two.fast, two.slow):
        await until(lambda node=node: node.state.revision == two.setup.plane.revision)  # type: ignore[misc]
