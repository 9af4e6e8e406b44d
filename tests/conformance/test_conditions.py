"""Specification, "Pulling blobs": Range as in RFC 9110, section 14; and conditional requests, section 13."""

import pytest

from tests.conformance import content
from tests.conformance.client import Repository, assert_error
from tests.fakes.blobs import content_of

BLOB = content.AMD64.layers[1]
WHOLE = content_of(BLOB)
SIZE = BLOB.size
PATH = f"blobs/{BLOB.digest}"


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=1000-1999", 1000, 2000),
        ("bytes=5000-", 5000, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        ("bytes=-100", SIZE - 100, SIZE),
        (f"bytes=-{SIZE + 5}", 0, SIZE),
        (f"bytes=0-{SIZE + 5}", 0, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        ("Bytes=10-19", 10, 20),
    ],
)
def test_range(repository: Repository, asked: str, start: int, stop: int) -> None:
    """Section 14.2: 206 with Content-Range and exactly these bytes."""
    answer = repository.get(PATH, Range=asked)
    assert answer.status == 206
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.headers["Docker-Content-Digest"] == str(BLOB.digest)
    assert answer.body == WHOLE[start:stop]


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE + 1}-{SIZE + 9}", "bytes=-0"])
def test_range_outside(repository: Repository, asked: str) -> None:
    """Section 15.5.17: 416 says how long the blob is."""
    answer = repository.get(PATH, Range=asked)
    assert_error(answer, 416, "RANGE_INVALID")
    assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("asked", ["bytes=9-3", "bytes=a-b", "bytes=", "bytes=-", "bytes=1"])
def test_malformed_range(repository: Repository, asked: str) -> None:
    """Sections 14.2 and 15.5.17: what makes no sense is refused, or ignored, but never guessed at."""
    answer = repository.get(PATH, Range=asked)
    assert answer.status in (200, 416)
    if answer.status == 200:
        assert answer.body == WHOLE


def test_range_in_another_unit(repository: Repository) -> None:
    """Section 14.2: a unit that is not understood is ignored."""
    answer = repository.get(PATH, Range="layers=0-1")
    assert answer.status == 200
    assert answer.body == WHOLE


def test_several_ranges(repository: Repository) -> None:
    """Section 15.3.7.2: each has its part, also those that touch; what overlaps is one part."""
    answer = repository.get(PATH, Range=f"bytes=0-9,{SIZE - 10}-")
    assert answer.status == 206
    assert answer.headers["Content-Type"].startswith("multipart/byteranges")
    assert answer.body.count(b"\r\nContent-Range: bytes ") == 2
    touching = repository.get(PATH, Range="bytes=0-9,10-29,40-49")
    assert touching.body.count(b"\r\nContent-Range: bytes ") == 3
    joined = repository.get(PATH, Range="bytes=0-9,5-29")
    assert (joined.status, joined.headers["Content-Range"]) == (206, f"bytes 0-29/{SIZE}")
    assert joined.body == WHOLE[:30]


def test_range_of_head(repository: Repository) -> None:
    """Section 14.2: Range is for GET; HEAD tells the whole size."""
    answer = repository.head(PATH, Range="bytes=0-9")
    assert answer.status == 200
    assert answer.headers["Content-Length"] == str(SIZE)


def test_resumed_pull(repository: Repository) -> None:
    """Section "Resumable pull": the parts that If-Range holds together are the blob."""
    first = repository.get(PATH, Range="bytes=0-49999")
    etag = first.headers["ETag"]
    second = repository.get(PATH, Range="bytes=50000-", If_Range=etag)
    assert second.status == 206
    assert first.body + second.body == WHOLE


def test_if_range_of_something_else(repository: Repository) -> None:
    """Section 13.1.5: a part of something else would not fit; the whole comes instead."""
    answer = repository.get(PATH, Range="bytes=50000-", If_Range='"something else"')
    assert answer.status == 200
    assert answer.body == WHOLE


@pytest.mark.parametrize("path", [PATH, "manifests/1.0", f"manifests/{content.INDEX.digest}"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_none_match(repository: Repository, method: str, path: str) -> None:
    """Section 13.1.2: 304 without a body for whoever has it already."""
    etag = repository.head(path).headers["ETag"]
    for condition in (etag, f'"other", W/{etag}', "*"):
        answer = repository.ask(method, path, If_None_Match=condition)
        assert answer.status == 304
        assert answer.headers["ETag"] == etag
        assert answer.body == b""


@pytest.mark.parametrize("path", [PATH, "manifests/1.0"])
def test_if_none_match_of_something_else(repository: Repository, path: str) -> None:
    """Section 13.1.2: 200 for whoever has something else."""
    answer = repository.get(path, If_None_Match='"something else"')
    assert answer.status == 200
    assert answer.body


@pytest.mark.parametrize("path", [PATH, "manifests/1.0", f"manifests/{content.INDEX.digest}"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_if_match(repository: Repository, method: str, path: str) -> None:
    """Sections 13.1.1 and 13.2.2: 412 for whoever wants something else, before all other conditions."""
    etag = repository.head(path).headers["ETag"]
    for condition in (etag, f'"other", {etag}', "*"):
        assert repository.ask(method, path, If_Match=condition).status == 200
        assert repository.ask(method, path, If_Match=condition, If_None_Match=etag).status == 304
    for condition in ('"other"', f"W/{etag}"):
        answer = repository.ask(method, path, If_Match=condition, If_None_Match="*", Range="bytes=0-0")
        assert answer.status == 412
        if method == "GET":
            assert_error(answer, 412, "UNSUPPORTED")


def test_if_match_of_nothing(repository: Repository) -> None:
    """Section 13.2.1: what there is not is 404, whatever the condition."""
    for condition in ("*", '"other"'):
        assert_error(repository.get("manifests/none", If_Match=condition), 404, "MANIFEST_UNKNOWN")


@pytest.mark.parametrize("path", [PATH, "manifests/1.0"])
def test_conditions_by_time(repository: Repository, path: str) -> None:
    """Sections 13.1.3 and 13.1.4: what has no date is sent whatever they say."""
    for header in ("If_Modified_Since", "If_Unmodified_Since"):
        for date in ("Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT"):
            assert repository.get(path, **{header: date}).status == 200
