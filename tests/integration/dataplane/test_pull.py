"""Pulling through a node, request by request, as the OCI distribution specification says."""

import pytest

from clients.oci.digest import Digest
from tests.fakes.blobs import content_of
from tests.fakes.images import Image, make_artifact, make_cache, make_chart, make_image, make_index
from tests.integration.dataplane.conftest import Pulled, Setup

ABSENT = Digest.of(b"nobody has this")
INDEX = "application/vnd.oci.image.index.v1+json"


@pytest.fixture
def image() -> Image:
    """An image of several pieces, the last of them larger than what is read at once."""
    return make_image([b"bottom", 700_000])


async def test_the_api_is_there(setup: Setup) -> None:
    """end-1, with and without the slash, by GET and HEAD."""
    for path in ("/v2/", "/v2"):
        answer = await setup.request("GET", path)
        assert (answer.status, answer.json) == (200, {})
        assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        assert (await setup.request("HEAD", path)).status == 200


@pytest.mark.parametrize("kind", ["image", "index", "docker", "chart", "artifact"])
async def test_manifests_by_tag_and_digest(setup: Setup, kind: str) -> None:
    """end-3: type as stored whatever Accept says, digest, length, entity tag; HEAD the same without body."""
    held = {
        "image": make_image,
        "index": lambda: make_index([make_image(seed=1), make_image(seed=2)]),
        "docker": lambda: make_image(docker=True),
        "chart": make_chart,
        "artifact": make_artifact,
    }[kind]()
    await setup.artifact(held)
    for reference in ("1.0", str(held.digest), str(held.digest).replace(":", "%3A")):
        for accept in ("*/*", "application/json"):
            answer = await setup.get(f"manifests/{reference}", Accept=accept)
            assert (answer.status, answer.body) == (200, held.manifest)
            assert answer.headers["Content-Type"] == held.media_type
            assert answer.headers["Docker-Content-Digest"] == str(held.digest)
            assert answer.headers["ETag"] == f'"{held.digest}"'
            assert answer.headers["Content-Length"] == str(len(held.manifest))
            assert answer.headers["Docker-Distribution-Api-Version"] == "registry/2.0"
        head = await setup.head(f"manifests/{reference}")
        assert (head.status, head.body) == (200, b"")
        for header in ("Content-Type", "Docker-Content-Digest", "ETag", "Content-Length"):
            assert head.headers[header] == answer.headers[header]
    assert setup.plane.calls["ResolveReference"] == 1
    assert setup.upstream.requests == []
    assert await setup.metric("penstock_node_manifest_lookups_total", source="memory") > 5


async def test_a_cold_blob_is_one_transfer(setup: Setup, image: Image) -> None:
    """The fast path, which tries first and has not got it, leaves nothing counted behind."""
    await setup.restart(max_transfers_per_token=1)
    await setup.artifact(image)
    assert (await setup.get("manifests/1.0")).status == 200
    for digest in image.blobs:
        assert (await setup.get(f"blobs/{digest}")).status == 200


async def test_a_manifest_that_the_client_has(setup: Setup, image: Image) -> None:
    """If-None-Match: 304 without a body, 200 once the tag has moved."""
    artifact = await setup.artifact(image)
    etag = f'"{image.digest}"'
    answer = await setup.get("manifests/1.0", If_None_Match=etag)
    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["ETag"] == etag
    newer = make_image(seed=9)
    setup.plane.hold(artifact, newer, ["1.0"])
    await setup.in_force()
    answer = await setup.get("manifests/1.0", If_None_Match=etag)
    assert (answer.status, answer.body) == (200, newer.manifest)


async def test_layers_of_a_build_cache(setup: Setup) -> None:
    """What an index names beside manifests are blobs, as BuildKit's caches have them; it says all."""
    cache = make_cache()
    await setup.artifact(cache)
    assert (await setup.get("manifests/1.0")).body == cache.manifest
    for digest, blob in cache.blobs.items():
        assert (await setup.get(f"blobs/{digest}")).body == content_of(blob)
    assert setup.plane.calls["ResolveBlob"] == 0


async def test_blobs_cold_and_warm(setup: Setup, image: Image) -> None:
    """end-2: every byte, from the upstream once and from the cache afterwards, also without upstream."""
    await setup.artifact(image)
    for digest, blob in image.blobs.items():
        for _ in range(2):
            answer = await setup.get(f"blobs/{digest}")
            assert (answer.status, answer.body) == (200, content_of(blob))
            assert answer.headers["Content-Type"] == "application/octet-stream"
            assert answer.headers["Docker-Content-Digest"] == str(digest)
            assert answer.headers["ETag"] == f'"{digest}"'
            assert answer.headers["Accept-Ranges"] == "bytes"
            assert answer.headers["Content-Length"] == str(blob.size)
    assert setup.upstream.count("GET", "blobs") == len(image.blobs)
    await setup.upstream.stop()
    await setup.restart()
    await setup.in_force()
    for digest, blob in image.blobs.items():
        assert (await setup.get(f"blobs/{digest}")).body == content_of(blob)
    await setup.upstream.start()
    total = sum(blob.size for blob in image.blobs.values())
    assert await setup.metric("penstock_node_sent_bytes_total") == total
    assert await setup.metric("penstock_node_blob_opens_total", result="hit") == len(image.blobs)


async def test_head_never_fetches(setup: Setup, image: Image) -> None:
    """A blob that this node has never seen has a length all the same."""
    await setup.artifact(image)
    for digest, blob in image.blobs.items():
        answer = await setup.head(f"blobs/{digest}")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["Content-Length"] == str(blob.size)
        assert answer.headers["Docker-Content-Digest"] == str(digest)
        assert (await setup.head(f"blobs/{digest}", If_None_Match="*")).status == 304
    assert setup.upstream.requests == []


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=300000-600000", 300_000, 600_001),
        ("bytes=699000-", 699_000, None),
        ("bytes=-100", -100, None),
        ("bytes=-99999999", 0, None),
        ("bytes=0-", 0, None),
    ],
)
async def test_one_range_of_a_blob(
    setup: Setup, image: Image, warm: bool, header: str, start: int, stop: int | None
) -> None:
    """RFC 9110, section 14: 206 with what was asked for, from the cache and while it is being filled."""
    await setup.artifact(image)
    blob = image.layers[-1]
    content = content_of(blob)
    if warm:
        await setup.get(f"blobs/{blob.digest}")
    answer = await setup.get(f"blobs/{blob.digest}", Range=header)
    first, behind, _ = slice(start, stop).indices(blob.size)
    assert (answer.status, answer.body) == (206, content[first:behind])
    assert answer.headers["Content-Range"] == f"bytes {first}-{behind - 1}/{blob.size}"
    assert answer.headers["Content-Length"] == str(behind - first)


async def test_ranges_that_get_the_whole_or_nothing(setup: Setup, image: Image) -> None:
    """Another unit and a changed If-Range: 200. Nothing to give: 416 with the size."""
    await setup.artifact(image)
    blob = image.layers[0]
    path = f"blobs/{blob.digest}"
    whole = content_of(blob)
    for headers in (
        {"Range": "lines=0-1"},
        {"Range": "bytes=0-1,300-301", "If_Range": '"other"'},
        {"Range": "bytes=0-1", "If_Range": '"other"'},
        {"Range": "bytes=0-1", "If_Range": "Mon, 23 Nov 2026 10:00:00 GMT"},
    ):
        answer = await setup.get(path, **headers)
        assert (answer.status, answer.body) == (200, whole)
    answer = await setup.get(path, Range="bytes=0-1", If_Range=f'"{blob.digest}"')
    assert (answer.status, answer.body) == (206, whole[:2])
    for malformed in (f"bytes={blob.size}-", "bytes=9-1", "bytes=x", "bytes=-0", "bytes=0-,1-,2-"):
        answer = await setup.get(path, Range=malformed)
        assert (answer.status, answer.code) == (416, "RANGE_INVALID")
        assert answer.headers["Content-Range"] == f"bytes */{blob.size}"


def parts(answer: Pulled) -> list[tuple[str, bytes]]:
    """The parts of a multipart/byteranges body: Content-Range and bytes."""
    kind, _, boundary = answer.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    delimiter = f"\r\n--{boundary}".encode()
    preamble, *pieces, end = answer.body.split(delimiter)
    assert (preamble, end) == (b"", b"--\r\n")
    found = []
    for piece in pieces:
        head, _, content = piece.partition(b"\r\n\r\n")
        start, media_type, content_range = head.decode().split("\r\n")
        assert (start, media_type) == ("", "Content-Type: application/octet-stream")
        found.append((content_range.removeprefix("Content-Range: "), content))
    return found


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0,1000-1999", [(0, 1), (1000, 2000)]),
        ("bytes=600000-600009,5-9", [(600_000, 600_010), (5, 10)]),
        ("bytes=10-300000,-416", [(10, 300_001), (700_000, 700_416)]),
        ("bytes=0-9,99999999-,400-409", [(0, 10), (400, 410)]),
    ],
)
async def test_several_ranges_of_a_blob(
    setup: Setup, image: Image, warm: bool, header: str, expected: list[tuple[int, int]]
) -> None:
    """RFC 9110, section 14.6: one 206 with a part for each, from the cache and while it is being filled."""
    await setup.artifact(image)
    blob = image.layers[-1]
    if warm:
        await setup.get(f"blobs/{blob.digest}")
    answer = await setup.get(f"blobs/{blob.digest}", Range=header, If_Range=f'"{blob.digest}"')
    assert (answer.status, answer.broken) == (206, False)
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert "Content-Range" not in answer.headers
    assert answer.headers["Docker-Content-Digest"] == str(blob.digest)
    content = content_of(blob)
    assert parts(answer) == [
        (f"bytes {start}-{stop - 1}/{blob.size}", content[start:stop]) for start, stop in expected
    ]


async def test_ranges_that_are_one(setup: Setup, image: Image) -> None:
    """A single part never stands in a multipart body (section 15.3.7.2); far too many get the whole."""
    await setup.artifact(image)
    blob = image.layers[-1]
    content = content_of(blob)
    answer = await setup.get(f"blobs/{blob.digest}", Range="bytes=0-99,50-149")
    assert (answer.status, answer.body) == (206, content[:150])
    assert answer.headers["Content-Range"] == f"bytes 0-149/{blob.size}"
    many = "bytes=" + ",".join(f"{number * 300}-{number * 300}" for number in range(200))
    answer = await setup.get(f"blobs/{blob.digest}", Range=many)
    assert (answer.status, answer.body) == (200, content)


async def test_tags_in_pages(setup: Setup, image: Image) -> None:
    """end-8: in order, n and last, a relative Link while there is more."""
    artifact = await setup.artifact(image)
    setup.plane.hold(artifact, image, ["latest", "2.0", "1.1", "A"])
    await setup.in_force()
    everything = ["1.0", "1.1", "2.0", "A", "latest"]
    answer = await setup.get("tags/list")
    assert (answer.status, answer.json) == (200, {"name": "acme/app", "tags": everything})
    assert answer.headers["Content-Type"] == "application/json"
    path, found = "/v2/acme/app/tags/list?n=2", []
    while path:
        answer = await setup.request("GET", path)
        found.append(answer.json["tags"])
        link = answer.headers.get("Link")
        path = link[1 : link.index(">")] if link else ""
        assert link is None or link.endswith('>; rel="next"')
    assert found == [["1.0", "1.1"], ["2.0", "A"], ["latest"]]
    empty = await setup.get("tags/list?n=0")
    assert (empty.json["tags"], "Link" in empty.headers) == ([], False)
    assert (await setup.get("tags/list?last=2.0")).json["tags"] == ["A", "latest"]
    head = await setup.head("tags/list")
    assert head.headers["Content-Length"] == (await setup.get("tags/list")).headers["Content-Length"]


async def test_an_artifact_without_tags(setup: Setup) -> None:
    """200 and an empty list: the repository is there."""
    await setup.artifact()
    assert (await setup.get("tags/list")).json == {"name": "acme/app", "tags": []}


async def test_referrers(setup: Setup, image: Image) -> None:
    """end-12: an empty index, of unknown digests as well; a filter is said to be applied."""
    await setup.artifact(image)
    for digest in (image.digest, ABSENT):
        answer = await setup.get(f"referrers/{digest}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, INDEX)
        assert answer.json == {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
        assert "OCI-Filters-Applied" not in answer.headers
    answer = await setup.get(f"referrers/{ABSENT}?artifactType=application%2Fvnd.example.sbom")
    assert answer.headers["OCI-Filters-Applied"] == "artifactType"


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v2/acme/app/manifests/none", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/acme/app/manifests/{ABSENT}", 404, "MANIFEST_UNKNOWN"),
        (f"/v2/acme/app/blobs/{ABSENT}", 404, "BLOB_UNKNOWN"),
        ("/v2/acme/none/manifests/1.0", 404, "NAME_UNKNOWN"),
        (f"/v2/acme/none/blobs/{ABSENT}", 404, "NAME_UNKNOWN"),
        ("/v2/acme/none/tags/list", 404, "NAME_UNKNOWN"),
        (f"/v2/acme/none/referrers/{ABSENT}", 404, "NAME_UNKNOWN"),
        ("/v2/none/app/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/acme/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/acme/App/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/acme/../app/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/acme%2fapp/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2//acme/app/manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/" + "a/" * 300 + "manifests/1.0", 400, "NAME_INVALID"),
        ("/v2/acme/app/manifests/.1", 404, "MANIFEST_UNKNOWN"),
        ("/v2/acme/app/manifests/sha256:123", 400, "DIGEST_INVALID"),
        ("/v2/acme/app/blobs/sha256:123", 400, "DIGEST_INVALID"),
        ("/v2/acme/app/referrers/sha256:123", 400, "DIGEST_INVALID"),
        ("/v2/acme/app/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/acme/app/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        ("/v2/acme/app/nothing", 404, "UNSUPPORTED"),
        ("/", 404, "UNSUPPORTED"),
        ("/v2/acme/app/tags/list?n=" + "1" * 9000, 414, "UNSUPPORTED"),
    ],
)
async def test_what_there_is_not_and_what_is_malformed(
    setup: Setup, image: Image, path: str, status: int, code: str
) -> None:
    """404 and 400, each with its code; HEAD the same status without a body."""
    await setup.artifact(image)
    answer = await setup.request("GET", path)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["Content-Type"] == "application/json"
    head = await setup.request("HEAD", path)
    assert (head.status, head.body) == (status, b"")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/acme/app/blobs/uploads/"),
        ("POST", f"/v2/acme/app/blobs/uploads/?digest={ABSENT}"),
        ("POST", f"/v2/acme/app/blobs/uploads/?mount={ABSENT}&from=acme/other"),
        ("PATCH", "/v2/acme/app/blobs/uploads/0b4c"),
        ("PUT", f"/v2/acme/app/blobs/uploads/0b4c?digest={ABSENT}"),
        ("DELETE", "/v2/acme/app/blobs/uploads/0b4c"),
        ("PUT", "/v2/acme/app/manifests/1.0"),
        ("PUT", f"/v2/acme/app/manifests/{ABSENT}"),
        ("DELETE", "/v2/acme/app/manifests/1.0"),
        ("DELETE", f"/v2/acme/app/manifests/{ABSENT}"),
        ("DELETE", f"/v2/acme/app/blobs/{ABSENT}"),
        ("POST", "/v2/acme/app/tags/list"),
        ("OPTIONS", "/v2/acme/app/tags/list"),
        ("PUT", "/v2/"),
        ("BREW", "/v2/acme/app/tags/list"),
    ],
)
async def test_everything_that_would_change_something_is_refused(
    setup: Setup, image: Image, method: str, path: str
) -> None:
    """405 with the methods that there are; the content is as before."""
    await setup.artifact(image)
    answer = await setup.request(method, path)
    assert (answer.status, answer.code) == (405, "UNSUPPORTED")
    assert answer.headers["Allow"] == "GET, HEAD"
    assert (await setup.get("manifests/1.0")).body == image.manifest


async def test_writing_where_there_is_nothing(setup: Setup) -> None:
    """Deletion in an unknown repository is 404, an unknown upload too; pushing one is 405 as elsewhere."""
    await setup.artifact()
    assert (await setup.request("DELETE", f"/v2/acme/none/manifests/{ABSENT}")).code == "NAME_UNKNOWN"
    assert (await setup.request("POST", "/v2/acme/none/blobs/uploads/")).code == "UNSUPPORTED"
    answer = await setup.get("blobs/uploads/0b4c")
    assert (answer.status, answer.code) == (404, "BLOB_UPLOAD_UNKNOWN")
