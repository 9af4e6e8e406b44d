"""Where redirects, next pages and token services may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from clients.oci.origin import (
    ForbiddenUrl,
    Origin,
    check_redirect,
    check_same_origin,
    follow,
    trusted_realm,
)

BASE = URL("https://registry.example:5000/v2/a/tags/list?n=2")


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/x", "https://registry.example:5000/x"),
        ("?n=3", "https://registry.example:5000/v2/a/tags/list?n=3"),
        ("//other.example/x", "https://other.example/x"),
        ("http://other.example:80/x#f", "http://other.example/x"),
        (
            "https://s3.example/b%2Fc?sig=%2B%2f+a%3D&x=a%20b",
            "https://s3.example/b%2Fc?sig=%2B%2f+a%3D&x=a%20b",
        ),
        ("https://[::1]:5000/x", "https://[::1]:5000/x"),
    ],
)
def test_locations_are_followed_to_the_letter(location: str, url: str) -> None:
    """Relative ones are resolved; what is signed stays as it was written."""
    assert str(follow(BASE, location)) == url


@pytest.mark.parametrize(
    "location",
    [
        "",
        "/a b",
        "/a\r\nX: y",
        "/ä",
        "ftp://other.example/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://user:secret@other.example/x",
        "https://user@other.example/x",
        "https://other.example:99999/x",
        "https://other.example:x/",
        "https://ex%61mple/x",
        "https://[fe80::1%25eth0]/x",
        "https://a\\@other.example/",
        "https://" + "a" * 9000,
    ],
)
def test_improper_locations_are_refused(location: str) -> None:
    """Nothing that is malformed, of another scheme, or with credentials in it; and no secret is repeated."""
    with pytest.raises(ForbiddenUrl) as caught:
        follow(BASE, location)
    assert "secret" not in str(caught.value)


@given(st.text(max_size=60) | st.text("htps:/@[].%#?a0", max_size=30))
def test_any_location_is_proper_or_refused(location: str) -> None:
    """Whatever is followed has a host, and is http or https."""
    try:
        url = follow(BASE, location)
    except ForbiddenUrl:
        return
    assert url.scheme in ("http", "https")
    assert Origin.of(url).host


def test_redirects_do_not_leave_tls() -> None:
    """Unless the upstream was declared to be without it from the start."""
    plain, secure = URL("http://a.example/"), URL("https://a.example/")
    for first, target in ((secure, secure), (plain, plain), (plain, secure)):
        check_redirect(first, target)
    with pytest.raises(ForbiddenUrl, match="TLS"):
        check_redirect(secure, plain)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://a.example/x", "https://A.example:443/y", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://b.example", False),
        ("https://a.example", "https://a.example.", False),
    ],
)
def test_origins(one: str, other: str, same: bool) -> None:
    """Scheme, host and port, with a scheme's own port left out or not."""
    if same:
        check_same_origin(URL(one), URL(other, encoded=True))
        return
    with pytest.raises(ForbiddenUrl, match="another origin"):
        check_same_origin(URL(one), URL(other, encoded=True))


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("https://registry-1.docker.io", "https://auth.docker.io/token"),
        ("https://ghcr.io", "https://ghcr.io/token"),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
        ("https://registry.example.co.uk", "https://auth.example.co.uk/token"),
        ("https://registry.example.com:5000", "https://registry.example.com:5001/token?a=b"),
        ("https://team.azurecr.io", "https://team.azurecr.io/oauth2/token"),
        ("http://10.0.0.1:5000", "http://10.0.0.1:5001/token"),
        ("http://registry.example", "https://auth.registry.example/token"),
        ("https://localhost:5000", "https://localhost/token"),
    ],
)
def test_realms_of_the_registrys_owner_are_trusted(registry: str, realm: str) -> None:
    """The registry's own host, its registrable domain, and Docker Hub's pair."""
    assert str(trusted_realm(URL(registry), realm)) == realm


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("https://registry.example.com", "https://evil.com/token"),
        ("https://registry.example.com", "https://registry.example.com.evil.com/token"),
        ("https://registry.example.com", "https://evilexample.com/token"),
        ("https://registry.example.com", "http://registry.example.com/token"),
        ("https://registry.example.com", "https://registry.example.com@evil.com/token"),
        ("https://registry.example.com", "/token"),
        ("https://registry.example.com", "//auth.example.com/token"),
        ("https://registry.example.com", ""),
        ("https://registry.example.com", "https://127.0.0.1/token"),
        ("https://registry.example.com", "ftp://registry.example.com/token"),
        ("https://registry.example.com", "https://auth.docker.io/token"),
        ("https://registry.co.uk", "https://evil.co.uk/token"),
        ("https://victim.com.au", "https://evil.com.au/token"),
        ("https://victim.azurecr.io", "https://evil.azurecr.io/token"),
        ("https://1.dkr.ecr.us-east-1.amazonaws.com", "https://evil.s3.amazonaws.com/token"),
        ("https://us-docker.pkg.dev", "https://evil.pkg.dev/token"),
        ("https://azurecr.io", "https://evil.azurecr.io/token"),
        ("http://10.0.0.1:5000", "http://10.0.0.2:5000/token"),
        ("http://10.0.0.1", "http://5.10.0.0.1/token"),
        ("http://registry:5000", "http://auth:5000/token"),
        ("https://localhost", "https://evil.localhost/token"),
        ("https://io", "https://evil.io/token"),
    ],
)
def test_other_realms_are_not(registry: str, realm: str) -> None:
    """A hostile registry cannot have its credentials sent to somebody else, nor in the clear."""
    with pytest.raises(ForbiddenUrl):
        trusted_realm(URL(registry), realm)
