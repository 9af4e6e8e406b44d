"""An upstream's refusals become this package's errors, in sentences without secrets."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.credential import Basic
from clients.oci.errors import (
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from clients.oci.failure import refusal, retry_after

DATE = "Mon, 23 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, UpstreamDenied, "does not allow"),
        (403, UpstreamDenied, "does not allow"),
        (404, UpstreamNotFound, "does not have"),
        (429, UpstreamRateLimited, "fewer requests"),
        (500, UpstreamUnavailable, "answered 500"),
        (503, UpstreamUnavailable, "answered 503"),
        (599, UpstreamUnavailable, "answered 599"),
        (204, UpstreamInvalid, "unexpected answer 204"),
        (302, UpstreamInvalid, "unexpected answer 302"),
        (400, UpstreamInvalid, "unexpected answer 400"),
        (416, UpstreamInvalid, "unexpected answer 416"),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[UpstreamError], words: str) -> None:
    """With the host, and what was asked for."""
    error = refusal("r.example", "the tags of a", status, {"Retry-After": "7"})
    assert type(error) is kind
    assert error.host == "r.example"
    assert words in str(error)
    assert "the tags of a" in str(error)
    assert str(error).endswith(".")
    assert error.retry_after == (7 if status in (429, 500, 503, 599) else None)


def test_the_upstreams_own_words_are_passed_on() -> None:
    """Its first error says more than the status; on one line, and bounded."""
    body = json.dumps({"errors": [{"code": "TOOMANYREQUESTS", "message": "pull\r\nlimit." + "x" * 1000}]})
    sentence = str(refusal("docker.io", "the tags of a", 429, {}, body.encode()))
    assert "(TOOMANYREQUESTS: pulllimit.x" in sentence
    assert len(sentence) < 400


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"errors": []}', b'{"errors": [1]}', b'{"errors": {}}']
)
def test_other_bodies_are_left_out(body: bytes) -> None:
    """Error bodies may have any format."""
    assert str(refusal("r", "x", 404, {}, body)) == "r does not have x."


@pytest.mark.parametrize(
    "body",
    [
        b"Client sent an HTTP request to an HTTPS server.\n",
        b"<center>The plain HTTP request was sent to HTTPS port</center>",
        b"Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
    ],
)
def test_a_server_with_tls_that_is_asked_without_is_told(body: bytes) -> None:
    """In the words of Go, nginx and Apache; to others 400 is an answer like any."""
    said = "r expects TLS and was asked for x without it: update the artifact with --tls."
    error = refusal("r", "x", 400, {}, body)
    assert (type(error), str(error)) == (UpstreamInvalid, said)
    assert "--tls" not in str(refusal("r", "x", 404, {}, body))


def test_a_secret_that_the_upstream_repeats_is_not_passed_on() -> None:
    """Nor what stands next to it."""
    body = json.dumps({"errors": [{"code": "DENIED", "message": "bad token tok-123"}]}).encode()
    assert "tok-123" not in str(refusal("r", "x", 403, {}, body, secret="Bearer tok-123"))
    assert "DENIED" in str(refusal("r", "x", 403, {}, body, secret="Bearer other"))


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("password", ["p\u00e4ss", 'a"b', "a\\b", "tab\there"])
def test_a_password_that_is_repeated_in_jsons_own_way(password: str, ascii_only: bool) -> None:
    """It is written with escapes there, and read without; a letter left out does not hide it either."""
    document = {"errors": [{"code": "DENIED", "message": f"not {password}!"}]}
    body = json.dumps(document, ensure_ascii=ascii_only).encode()
    sentence = str(refusal("r", "x", 403, {}, body, secret=Basic("alice", password).header))
    assert sentence == "r does not allow reading x, or has no such repository."


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "21600"}, 21600),
        ({"Retry-After": "86400"}, 21600),
        ({"Retry-After": "999999999"}, 21600),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "9" * 400, "Date": DATE}, 21600),
        ({"Retry-After": "1795435290", "Date": DATE}, 90),
        ({"Retry-After": "1795435290123", "Date": DATE}, 90),
        ({"Retry-After": "1795435110", "Date": DATE}, 0),
        ({"Retry-After": "1795435290"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "\u0663"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Mon, 23 Nov 2026 12:01:30 GMT", "Date": DATE}, 90),
        ({"Retry-After": "Mon, 23 Nov 2026 11:00:00 GMT", "Date": DATE}, 0),
        ({"Retry-After": "Mon, 23 Nov 2096 12:01:30 GMT", "Date": DATE}, 21600),
        ({"Retry-After": "Mon, 23 Nov 2026 12:01:30 -0000", "Date": DATE}, 90),
        ({"Retry-After": "Mon, 23 Nov 2026 12:01:30 GMT"}, None),
        ({"Retry-After": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT", "Date": DATE}, None),
        ({"Retry-After": f"Mon, 01 Jan 2030 00:00:00 +{'9' * 20}", "Date": DATE}, None),
        ({"Retry-After": "Mon, 99 Nov 2026 12:01:30 GMT", "Date": DATE}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, or a date by the upstream's own clock, in words or since 1970; never more than six hours."""
    assert retry_after(headers) == seconds


@given(st.text(max_size=40), st.text(max_size=40), st.binary(max_size=100), st.integers(100, 599))
def test_any_refusal_is_a_sentence(header: str, date: str, body: bytes, status: int) -> None:
    """Nothing else comes of headers and bodies from outside."""
    error = refusal("r", "x", status, {"Retry-After": header, "Date": date}, body)
    assert str(error).endswith(".")
