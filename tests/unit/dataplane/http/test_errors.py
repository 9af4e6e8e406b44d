"""Error bodies and statuses, and what failures behind the registry become."""

import json

import pytest

from clients.oci.errors import (
    ForbiddenAddress,
    UpstreamDenied,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from dataplane.blobs.errors import BlobFailed, Fault
from dataplane.http.errors import Code, Refusal
from dataplane.http.failures import Failure, refusal
from dataplane.resolve.errors import ControlPlaneAway, Missing, Unknown


def test_an_error_body_has_the_form_of_the_specification() -> None:
    """One error with code, message and detail."""
    answer = Refusal(Code.NAME_UNKNOWN, "There is no such repository here.").answer()
    assert answer.status == 404
    assert ("Content-Type", "application/json") in answer.headers
    assert isinstance(answer.body, bytes)
    assert answer.length == len(answer.body)
    assert json.loads(answer.body) == {
        "errors": [{"code": "NAME_UNKNOWN", "message": "There is no such repository here.", "detail": None}]
    }


@pytest.mark.parametrize("code", Code)
def test_every_code_has_a_status(code: Code) -> None:
    """And a name that is itself, in capitals, as the specification wants."""
    assert 400 <= Refusal(code, "x").status < 600
    assert code.value == code.name


@pytest.mark.parametrize(
    ("code", "retry_after", "header"),
    [
        (Code.TOOMANYREQUESTS, 7.2, "8"),
        (Code.TOOMANYREQUESTS, None, "5"),
        (Code.UNAVAILABLE, 0.0, "1"),
        (Code.UNAVAILABLE, None, "5"),
        (Code.NAME_UNKNOWN, None, None),
    ],
)
def test_those_who_should_come_back_are_told_when(
    code: Code, retry_after: float | None, header: str | None
) -> None:
    """429 and 503 always carry Retry-After, in whole seconds and never 0."""
    assert dict(Refusal(code, "x", retry_after=retry_after).answer().headers).get("Retry-After") == header


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (Unknown(Missing.ARTIFACT), 404, "NAME_UNKNOWN"),
        (Unknown(Missing.MANIFEST), 404, "MANIFEST_UNKNOWN"),
        (Unknown(Missing.BLOB), 404, "BLOB_UNKNOWN"),
        (UpstreamUnavailable("docker.io", "It is down."), 503, "UNAVAILABLE"),
        (ControlPlaneAway("It is away."), 503, "UNAVAILABLE"),
        (UpstreamDenied("docker.io", "It wants a password."), 502, "UPSTREAM_DENIED"),
        (UpstreamInvalid("docker.io", "It made no sense."), 502, "UPSTREAM_INVALID"),
        (ForbiddenAddress("10.0.0.1", "It is private."), 502, "UPSTREAM_INVALID"),
        (UpstreamNotFound("docker.io", "It is gone."), 404, "BLOB_UNKNOWN"),
        (UpstreamRateLimited("docker.io", "Slow down.", retry_after=30), 429, "TOOMANYREQUESTS"),
        (BlobFailed(Fault.DIGEST, "It is not it."), 502, "UPSTREAM_INVALID"),
        (BlobFailed(Fault.NODE, "The disk is full."), 503, "UNAVAILABLE"),
    ],
)
def test_failures_have_one_meaning(failure: Failure, status: int, code: str) -> None:
    """A refused credential is 502 and never 401; trouble is never 404."""
    refused = refusal(failure)
    assert (refused.status, refused.code) == (status, code)


@pytest.mark.parametrize("fault", Fault)
def test_every_fault_of_a_blob_is_in_the_table(fault: Fault) -> None:
    """A new one is not forgotten."""
    assert refusal(BlobFailed(fault, "x")).status in (502, 503)


def test_the_upstreams_wait_is_passed_on() -> None:
    """Retry-After of the upstream reaches the client."""
    answer = refusal(UpstreamRateLimited("docker.io", "Slow down.", retry_after=30)).answer()
    assert ("Retry-After", "30") in answer.headers
