"""Upstreams as callers give them."""

import pytest

from clients.oci.errors import (
    CredentialRefused,
    ForbiddenAddress,
    UnknownHost,
    UntrustedTls,
    UpstreamDenied,
    UpstreamNotFound,
    UpstreamUnavailable,
)
from controlplane.api.errors import ApiError
from controlplane.api.upstreams import Upstreams
from controlplane.upstream.access import Target


async def _fine(_: Target) -> None:
    return


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1:5000/app",
        "localhost/app",
        "localhost:5000/app",
        "10.1.2.3/app",
        "169.254.169.254/latest",
        "192.168.0.1:443/a",
        "[::1]:5000/app",
        "[fd00::1]/app",
        "[::ffff:127.0.0.1]/app",
    ],
)
def test_private_addresses_are_refused_by_name(text: str) -> None:
    """The sentence names the setting and shows a good one; with the setting they are taken."""
    with pytest.raises(ValueError, match=r"PENSTOCK_ALLOW_PRIVATE_UPSTREAMS.*docker\.io/library/redis"):
        Upstreams(_fine, allow_private=False).parse(text, plain_http=False)
    assert Upstreams(_fine, allow_private=True).parse(text, plain_http=False).repository


@pytest.mark.parametrize(
    "text", ["docker.io/library/redis", "ghcr.io/org/repo", "8.8.8.8:5000/a", "[2606::1]/a"]
)
def test_public_ones_are_taken(text: str) -> None:
    """Names are left to resolution, and to the check."""
    assert Upstreams(_fine, allow_private=False).parse(text, plain_http=False).host


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (UpstreamUnavailable("h", "It is down."), "FAILED_PRECONDITION", "UPSTREAM_UNAVAILABLE"),
        (UnknownHost("h", "It is nowhere."), "FAILED_PRECONDITION", "UPSTREAM_HOST_UNKNOWN"),
        (UntrustedTls("h", "It is somebody."), "FAILED_PRECONDITION", "UPSTREAM_TLS_FAILED"),
        (CredentialRefused("h", "It is wrong."), "FAILED_PRECONDITION", "UPSTREAM_CREDENTIAL_REFUSED"),
        (UpstreamDenied("h", "It is closed."), "FAILED_PRECONDITION", "UPSTREAM_DENIED"),
        (UpstreamNotFound("h", "It is not there."), "FAILED_PRECONDITION", "UPSTREAM_NOT_FOUND"),
        (ForbiddenAddress("h", "h is at 10.0.0.1."), "INVALID_ARGUMENT", "INVALID_REQUEST"),
    ],
)
async def test_what_the_upstream_said_is_told(error: Exception, code: str, reason: str) -> None:
    """A repository that cannot be used is a precondition; a forbidden address a wrong field."""

    async def fail(_: Target) -> None:
        raise error

    upstreams = Upstreams(fail, allow_private=False)
    with pytest.raises(ApiError) as caught:
        await upstreams.examine(Target(upstreams.parse("example.com/a", plain_http=False)))
    assert (caught.value.code.name, caught.value.reason) == (code, reason)
    assert str(error).rstrip(".") in str(caught.value)
    if code == "INVALID_ARGUMENT":
        assert [item.field for item in caught.value.violations] == ["artifact.upstream"]
