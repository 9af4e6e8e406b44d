"""Headers and statuses of manifests, referrers and blobs."""

import json
from collections.abc import AsyncGenerator

import pytest

from clients.oci.digest import Digest
from clients.oci.errors import UpstreamDenied
from clients.oci.media_types import OCI_INDEX, OCI_MANIFEST
from dataplane.blobs.reader import BlobReader
from dataplane.events.recorder import Ended
from dataplane.http import blobs, manifests, referrers
from dataplane.http.errors import Refusal
from dataplane.http.message import Answer, Request
from dataplane.http.target import Referrers
from dataplane.http.transfers import Free
from dataplane.resolve.manifest import ResolvedManifest
from dataplane.resolve.referrers import Referrer

CONTENT = b'{"schemaVersion":2}'
TYPE = "application/vnd.oci.image.manifest.v1+json"
MANIFEST = ResolvedManifest(Digest.of(CONTENT), TYPE, CONTENT, 1)
BLOB = bytes(range(256)) * 4
DIGEST = Digest.of(BLOB)
ETAG = f'"{DIGEST}"'


def test_a_manifest_is_served_as_it_is_stored() -> None:
    """Type, digest, tag and length; no parameters on the type."""
    answer = manifests.answer(Request("GET", "/"), MANIFEST)
    assert (answer.status, answer.body, answer.length) == (200, CONTENT, len(CONTENT))
    assert dict(answer.headers) == {
        "Content-Type": TYPE,
        "Docker-Content-Digest": str(MANIFEST.digest),
        "ETag": f'"{MANIFEST.digest}"',
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_manifest_that_the_client_has_is_not_sent(method: str) -> None:
    """304 with the headers that a 200 would have had, and no body."""
    answer = manifests.answer(Request(method, "/", if_none_match=f'W/"{MANIFEST.digest}"'), MANIFEST)
    assert (answer.status, answer.body) == (304, b"")
    assert ("Docker-Content-Digest", str(MANIFEST.digest)) in answer.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_who_wants_something_else_gets_nothing(method: str) -> None:
    """412, whatever else the client says of what it has or wants; nothing is opened."""
    reader, others = FakeReader(), {"if_match": '"other"', "if_none_match": "*", "range": "bytes=9999-"}
    with pytest.raises(Refusal) as caught:
        manifests.answer(Request(method, "/", **others), MANIFEST)
    assert caught.value.status == 412
    with pytest.raises(Refusal) as caught:
        await ask(reader, method, **others)
    assert (caught.value.status, reader.opened) == (412, 0)


def test_referrers_are_an_index_with_their_types_and_annotations() -> None:
    """Descriptors as the specification wants them; without any, an index without manifests."""
    signature = Referrer(str(DIGEST), OCI_MANIFEST, 3, "application/vnd.signature", {"by": "me"})
    plain = Referrer(str(DIGEST), OCI_MANIFEST, 4, "")
    answer = referrers.answer(Referrers("acme/app", DIGEST, ""), [signature, plain])
    assert answer.status == 200
    assert dict(answer.headers) == {"Content-Type": OCI_INDEX}
    descriptor = {"mediaType": OCI_MANIFEST, "digest": str(DIGEST)}
    assert json.loads(answer.body) == {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            descriptor
            | {"size": 3, "artifactType": "application/vnd.signature", "annotations": {"by": "me"}},
            descriptor | {"size": 4},
        ],
    }
    empty = referrers.answer(Referrers("acme/app", DIGEST, ""), [])
    assert json.loads(empty.body)["manifests"] == []


def test_referrers_of_one_type() -> None:
    """The answer says that the filter was applied, also when nothing is left."""
    listed = [Referrer(str(DIGEST), OCI_MANIFEST, size, f"application/vnd.{size}") for size in (1, 2)]
    for wanted, left in (("application/vnd.2", [2]), ("application/vnd.3", [])):
        answer = referrers.answer(Referrers("acme/app", DIGEST, wanted), listed)
        assert [item["size"] for item in json.loads(answer.body)["manifests"]] == left
        assert ("OCI-Filters-Applied", "artifactType") in answer.headers


class FakeReader:
    """As much of a BlobReader as answers use."""

    warm = True

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.closed = False
        self.opened = 0

    async def open(self) -> "FakeReader":
        self.opened += 1
        return self

    async def available(self, position: int, stop: int | None = None) -> int:
        assert position < len(BLOB)
        if self.failure:
            raise self.failure
        return len(BLOB)

    async def read(self, start: int, stop: int) -> AsyncGenerator[memoryview, None]:
        for position in range(start, stop, 100):
            yield memoryview(BLOB)[position : min(position + 100, stop)]

    def close(self) -> None:
        self.closed = True


async def ask(reader: FakeReader, method: str = "GET", **headers: str) -> Answer:
    """Answer a request for the blob."""
    return await blobs.answer(Request(method, "/", **headers), DIGEST, len(BLOB), reader.open)  # type: ignore[arg-type]


async def drain(answer: Answer) -> bytes:
    """Read a body to its end."""
    assert not isinstance(answer.body, bytes)
    parts = []
    while (chunk := await answer.body.read()) is not None:
        parts.append(bytes(chunk))
    await answer.body.close()
    assert sum(map(len, parts)) == answer.length
    return b"".join(parts)


async def test_a_blob_is_sent_whole() -> None:
    """With its digest, as what it is: bytes."""
    reader = FakeReader()
    answer = await ask(reader)
    assert answer.status == 200
    assert dict(answer.headers) == {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": str(DIGEST),
        "ETag": ETAG,
        "Accept-Ranges": "bytes",
    }
    assert await drain(answer) == BLOB
    assert reader.closed


async def test_part_of_a_blob_is_206() -> None:
    """With where it lies."""
    answer = await ask(FakeReader(), range="bytes=10-19")
    assert (answer.status, answer.length) == (206, 10)
    assert ("Content-Range", f"bytes 10-19/{len(BLOB)}") in answer.headers
    assert await drain(answer) == BLOB[10:20]


@pytest.mark.parametrize(("if_range", "status"), [(ETAG, 206), ('"other"', 200)])
async def test_if_range_decides_between_part_and_whole(if_range: str, status: int) -> None:
    """A resumed download of something else starts again."""
    answer = await ask(FakeReader(), range="bytes=10-19", if_range=if_range)
    assert answer.status == status
    await drain(answer)


async def test_several_ranges_get_several_parts() -> None:
    """With the length of all of it, and no Content-Range of its own."""
    reader = FakeReader()
    answer = await ask(reader, range="bytes=0-1,500-501")
    assert answer.status == 206
    headers = dict(answer.headers)
    assert headers["Content-Type"].startswith("multipart/byteranges; boundary=")
    assert "Content-Range" not in headers
    assert not isinstance(answer.body, bytes)
    sent = 0
    while piece := await answer.body.read():
        sent += len(piece)
    await answer.body.close()
    assert sent == answer.length


async def test_a_range_behind_the_end_is_416() -> None:
    """With the size, and without opening anything."""
    reader = FakeReader()
    with pytest.raises(Refusal) as caught:
        await ask(reader, range="bytes=5000-")
    answer = caught.value.answer()
    assert answer.status == 416
    assert ("Content-Range", f"bytes */{len(BLOB)}") in answer.headers
    assert reader.opened == 0


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("HEAD", {}, 200),
        ("HEAD", {"range": "bytes=0-1"}, 200),
        ("HEAD", {"range": "bytes=5000-"}, 200),
        ("HEAD", {"if_none_match": ETAG}, 304),
        ("GET", {"if_none_match": "*"}, 304),
        ("GET", {"if_none_match": ETAG, "range": "bytes=0-1"}, 304),
    ],
)
async def test_what_needs_no_bytes_opens_nothing(method: str, headers: dict[str, str], status: int) -> None:
    """HEAD has the length of GET; Range is for GET alone."""
    reader = FakeReader()
    answer = await ask(reader, method, **headers)
    assert (answer.status, answer.body, reader.opened) == (status, b"", 0)
    if status == 200:
        assert answer.length == len(BLOB)


async def test_what_fails_before_the_first_byte_is_an_error() -> None:
    """And not a 200 that breaks off; the reader is closed."""
    reader = FakeReader(UpstreamDenied("docker.io", "No."))
    with pytest.raises(UpstreamDenied):
        await ask(reader)
    assert reader.closed


async def test_a_transfer_that_fails_before_its_first_byte_has_ended() -> None:
    """It takes nothing of what a token or address may pull at once: a bad hour would use all of it up."""

    async def refuse() -> BlobReader:
        raise UpstreamDenied("docker.io", "No.")

    ended: list[str] = []
    free = Free(lambda token_uid, _: ended.append(token_uid), "ci")
    for open_reader in (FakeReader(UpstreamDenied("docker.io", "No.")).open, refuse):
        with pytest.raises(UpstreamDenied):
            await blobs.answer(Request("GET", "/"), DIGEST, len(BLOB), open_reader, lambda: free)  # type: ignore[arg-type]
    assert ended == ["ci", "ci"]


async def test_who_is_redirected_for_a_part_is_counted_with_that_part() -> None:
    """What is asked for there are as many bytes, and not the blob's; nothing is opened here."""
    reader, noted = FakeReader(), []

    async def locate(length: int) -> str:
        return f"https://s3.example.com/{length}"

    def note(length: int, *, warm: bool, part: bool, redirected: int = 0) -> Ended:
        noted.append((length, warm, part, redirected))
        return lambda _: None

    answer = await blobs.answer(
        Request("GET", "/", range="bytes=10-19"),
        DIGEST,
        len(BLOB),
        reader.open,  # type: ignore[arg-type]
        locate=locate,
        note=note,
    )

    assert answer.status == 307
    assert dict(answer.headers)["Location"] == "https://s3.example.com/10"
    assert noted == [(0, True, True, 10)]
    assert reader.opened == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"if_match": ETAG},
        {"range": "bytes=0-9", "if_range": ETAG},
        {"range": "bytes=0-1,4-5"},
        {"range": "bytes=0-9,5-19"},
        {"range": "pages=1-2"},
    ],
    ids=lambda headers: "+".join(headers.values()),
)
async def test_what_only_this_node_understands_is_not_redirected(headers: dict[str, str]) -> None:
    """S3 has other tags, by which it would send nothing or the wrong part, and takes one range of bytes."""

    async def locate(_: int) -> str:
        return "https://s3.example.com/"

    answer = await blobs.answer(
        Request("GET", "/", **headers),
        DIGEST,
        len(BLOB),
        FakeReader().open,  # type: ignore[arg-type]
        locate=locate,
    )

    assert answer.status in (200, 206)
    assert not isinstance(answer.body, bytes)
    await answer.body.close()


async def test_an_answer_nobody_reads_lets_go_of_the_blob() -> None:
    """A client may leave between the status and the first byte."""
    reader = FakeReader()
    answer = await ask(reader)
    assert not isinstance(answer.body, bytes)
    await answer.body.close()
    assert reader.closed


async def test_an_empty_blob_has_an_empty_body() -> None:
    """There is no first byte to wait for."""
    empty = Digest.of(b"")
    answer = await blobs.answer(Request("GET", "/"), empty, 0, FakeReader().open)  # type: ignore[arg-type]
    assert (answer.status, answer.length) == (200, 0)
    assert await drain(answer) == b""
