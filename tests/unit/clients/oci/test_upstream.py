"""An upstream is read from what people write, and refused with a good example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.upstream import InvalidUpstream, Upstream


@pytest.mark.parametrize(
    ("text", "written", "base_url"),
    [
        ("docker.io/library/redis", "docker.io/library/redis", "https://registry-1.docker.io"),
        ("docker.io/redis", "docker.io/library/redis", "https://registry-1.docker.io"),
        ("index.docker.io/bitnami/redis", "docker.io/bitnami/redis", "https://registry-1.docker.io"),
        ("Docker.IO/library/redis", "docker.io/library/redis", "https://registry-1.docker.io"),
        ("ghcr.io/org/repo", "ghcr.io/org/repo", "https://ghcr.io"),
        ("ghcr.io:443/org/repo", "ghcr.io/org/repo", "https://ghcr.io"),
        (
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/my-repo",
            "123456789012.dkr.ecr.us-east-1.amazonaws.com/my-repo",
            "https://123456789012.dkr.ecr.us-east-1.amazonaws.com",
        ),
        (
            "us-docker.pkg.dev/project/repo/image",
            "us-docker.pkg.dev/project/repo/image",
            "https://us-docker.pkg.dev",
        ),
        (
            "registry.example.com:5000/a/b",
            "registry.example.com:5000/a/b",
            "https://registry.example.com:5000",
        ),
        ("registry:05000/a", "registry:5000/a", "https://registry:5000"),
        ("localhost/a", "localhost/a", "https://localhost"),
        ("127.0.0.1:80/a", "127.0.0.1:80/a", "https://127.0.0.1:80"),
        ("[::0:1]:5000/a", "[::1]:5000/a", "https://[::1]:5000"),
    ],
)
def test_upstreams_are_read(text: str, written: str, base_url: str) -> None:
    """Each usual form is taken, written one way, and leads to the registry's API."""
    upstream = Upstream.parse(text)
    assert (str(upstream), upstream.base_url) == (written, base_url)
    assert Upstream.parse(written) == upstream


def test_plain_http_is_declared() -> None:
    """Without TLS only where that is said; its own port is then 80."""
    assert Upstream.parse("r.example/a", plain_http=True).base_url == "http://r.example"
    assert str(Upstream.parse("r.example:80/a", plain_http=True)) == "r.example/a"
    assert str(Upstream.parse("r.example:443/a", plain_http=True)) == "r.example:443/a"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not an upstream"),
        ("docker.io", "whole registry"),
        ("docker.io/", "whole registry"),
        ("localhost:5000", "whole registry"),
        ("redis", "which registry"),
        ("library/redis", "does not start with the host"),
        ("https://docker.io/library/redis", "scheme"),
        ("docker.io/library/redis:7", "tag"),
        ("docker.io/library/redis@sha256:" + "a" * 64, "@"),
        ("docker.io/Library/Redis", "not a repository name"),
        ("docker.io/library/redis?x=1", "not an upstream"),
        ("docker.io/library/redis#x", "not an upstream"),
        ("docker.io/a%2fb", "not an upstream"),
        ("docker.io/a b", "not an upstream"),
        ("docker.io/a/../b", "not a repository name"),
        ("döcker.io/a", "not an upstream"),
        ("registry.example.com:0/a", "port"),
        ("registry.example.com:65536/a", "port"),
        ("registry.example.com:x/a", "not a host"),
        ("-a.example/a", "not a host name"),
        ("a..example/a", "not a host name"),
        ("127.1/a", "not an IPv4 address"),
        ("1.2.3.4.5/a", "not an IPv4 address"),
        ("2130706433:80/a", "not an IPv4 address"),
        ("0177.0.0.1/a", "not an IPv4 address"),
        ("[::1/a", "not a host"),
        ("[:::1]/a", "not an IPv6 address"),
        ("a.example/" + "a" * 600, "longer"),
    ],
)
def test_others_are_refused_with_an_example(text: str, problem: str) -> None:
    """What is not one repository is refused with what is wrong, and how to write it."""
    with pytest.raises(InvalidUpstream, match=problem) as caught:
        Upstream.parse(text)
    assert "docker.io/library/redis" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_password_is_not_repeated() -> None:
    """A URL with a password in it does not come back in the sentence."""
    with pytest.raises(InvalidUpstream) as caught:
        Upstream.parse("https://user:hunter2@registry.example.com/a")
    assert "hunter2" not in str(caught.value)


@given(st.one_of(st.text(max_size=60), st.text("ab.:/[]@-_0159", max_size=60)))
def test_any_text_is_an_upstream_or_refused(text: str) -> None:
    """What is taken is written so that it is read as the same again."""
    try:
        upstream = Upstream.parse(text)
    except InvalidUpstream:
        return
    assert Upstream.parse(str(upstream)) == upstream
