"""What a read-only registry refuses, who is let in, and how it says so."""

import http.client

import pytest

from tests.conformance import content
from tests.conformance.client import Repository, assert_error
from tests.servers.http import basic

DIGEST = str(content.INDEX.digest)
LAYER = str(content.AMD64.layers[0].digest)
READS = ["", "manifests/1.0", f"manifests/{DIGEST}", f"blobs/{LAYER}", "tags/list", f"referrers/{DIGEST}"]
WRITES = [
    pytest.param("POST", "blobs/uploads/", id="end-4a"),
    pytest.param("POST", f"blobs/uploads/?digest={LAYER}", id="end-4b"),
    pytest.param("POST", "blobs/uploads/?digest-algorithm=sha512", id="end-4c"),
    pytest.param("PATCH", "blobs/uploads/0d1e", id="end-5"),
    pytest.param("PUT", f"blobs/uploads/0d1e?digest={LAYER}", id="end-6"),
    pytest.param("PUT", "manifests/1.0", id="end-7a-tag"),
    pytest.param("PUT", f"manifests/{DIGEST}?tag=2", id="end-7b"),
    pytest.param("DELETE", "manifests/1.0", id="end-9-tag"),
    pytest.param("DELETE", f"manifests/{DIGEST}", id="end-9-digest"),
    pytest.param("DELETE", f"blobs/{LAYER}", id="end-10"),
    pytest.param("POST", f"blobs/uploads/?mount={LAYER}&from=other/app", id="end-11"),
    pytest.param("DELETE", "blobs/uploads/0d1e", id="end-14"),
]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_push_and_delete(repository: Repository, method: str, path: str) -> None:
    """Section "Push", "Content management": disabled is 405, with Allow (RFC 9110, section 15.5.6)."""
    answer = repository.ask(method, path)
    assert_error(answer, 405, "UNSUPPORTED")
    allowed = {word.strip() for word in (answer.headers["Allow"] or "").split(",")} - {""}
    assert allowed <= {"GET", "HEAD"}
    assert "Allow" in answer.headers


def test_status_of_an_upload(repository: Repository) -> None:
    """Section "Endpoints" (end-13): there never is an upload to ask about (code-3)."""
    assert_error(repository.get("blobs/uploads/0d1e"), 404, "BLOB_UPLOAD_UNKNOWN")


def test_push_with_a_body(repository: Repository) -> None:
    """A client that sends the content with its request is refused as well, and the connection goes on."""
    host, _, port = repository.address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    headers = {"Authorization": basic(repository.token)}
    try:
        for _ in range(2):
            connection.request(
                "PUT", f"/v2/{repository.name}/manifests/2.0", body=b"{}" * 500, headers=headers
            )
            response = connection.getresponse()
            response.read()
            assert response.status == 405
    finally:
        connection.close()


@pytest.mark.parametrize("path", READS)
@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param("", id="nothing"),
        pytest.param(basic("wrong"), id="no-token"),
        pytest.param(basic("pst_" + "0" * 36), id="unknown-token"),
        pytest.param("Bearer wrong", id="bearer"),
        pytest.param("Basic ???", id="garbage"),
        pytest.param("Digest x=y", id="scheme"),
    ],
)
def test_without_a_good_token(repository: Repository, path: str, authorization: str) -> None:
    """RFC 9110, section 11.6.1: 401 comes with a challenge that clients know (code-11)."""
    whole = f"/v2/{repository.name}/{path}" if path else "/v2/"
    for method in ("GET", "HEAD"):
        answer = repository.ask_path(method, whole, Authorization=authorization)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].lower().startswith("basic realm=")
        if method == "GET":
            assert_error(answer, 401, "UNAUTHORIZED")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "AccessToken"])
def test_token_schemes(repository: Repository, scheme: str) -> None:
    """A token is good as Bearer as well; the scheme's case does not matter (RFC 9110, section 11.1)."""
    answer = repository.get("manifests/1.0", Authorization=f"{scheme} {repository.token}")
    assert answer.status == 200


@pytest.mark.parametrize("path", READS[1:])
def test_good_token_elsewhere(stranger: Repository, unknown: Repository, path: str) -> None:
    """Another organization's repository looks like one that there is not, to the last byte."""
    seen, absent = stranger.get(path), unknown.get(path)
    assert_error(seen, 404, "NAME_UNKNOWN")
    assert seen.body.replace(stranger.name.encode(), b"*") == absent.body.replace(unknown.name.encode(), b"*")
    assert set(seen.headers) == set(absent.headers)


@pytest.mark.parametrize("path", ["/v2/acme/app/unheard-of/1.0", "/v2/manifests/1.0", "/v1/", "/"])
def test_paths_that_are_not_in_the_specification(repository: Repository, path: str) -> None:
    """Section "Endpoints": anything else is not there."""
    assert repository.ask_path("GET", path).status in (400, 404)


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "PUT", "POST", "DELETE", "TRACE"])
def test_other_methods(repository: Repository, method: str) -> None:
    """RFC 9110, section 15.5.6: 405, and which methods there are."""
    answer = repository.ask(method, "tags/list")
    assert answer.status == 405
    assert {word.strip() for word in answer.headers["Allow"].split(",")} == {"GET", "HEAD"}


def test_one_connection_for_many_requests(repository: Repository) -> None:
    """RFC 9112, section 9.3: answers, errors included, leave the connection usable."""
    host, _, port = repository.address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    headers = {"Authorization": basic(repository.token)}
    expected = [
        ("GET", "manifests/1.0", 200),
        ("HEAD", "manifests/nope", 404),
        ("GET", f"blobs/{LAYER}", 200),
        ("GET", "blobs/nonsense", 400),
        ("HEAD", f"blobs/{LAYER}", 200),
        ("GET", "tags/list?n=1", 200),
    ]
    try:
        connection.connect()
        socket = connection.sock
        for method, path, status in expected:
            connection.request(method, f"/v2/{repository.name}/{path}", headers=headers)
            response = connection.getresponse()
            response.read()
            assert response.status == status
            assert connection.sock is socket, "the connection was closed"
    finally:
        connection.close()
