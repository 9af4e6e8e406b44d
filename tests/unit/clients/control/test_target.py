"""Addresses of a control plane, in clear or by TLS."""

import pytest

from clients.control.target import Target
from clients.process.exits import ConfigurationError


@pytest.mark.parametrize(
    ("text", "shown", "tls"),
    [
        ("127.0.0.1:8081", "127.0.0.1:8081", False),
        ("https://penstock.example:8081", "https://penstock.example:8081", True),
        ("HTTPS://penstock.example/", "https://penstock.example:443", True),
        (" https://[2001:db8::1]:8081 ", "https://[2001:db8::1]:8081", True),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:443", True),
    ],
)
def test_what_is_an_address(text: str, shown: str, tls: bool) -> None:
    """Host and port, or these by https."""
    target = Target.parse(text)
    assert (str(target), target.tls) == (shown, tls)


@pytest.mark.parametrize(
    "text",
    [
        "penstock.example",
        "http://penstock.example:1",
        "grpc://penstock.example:1",
        "https://",
        "https://:1",
        "https://penstock.example:1/path",
        "https://user@penstock.example",
        "https://penstock.example:x",
        "https://2001:db8::1",
        "https://a b",
        "https://penstock.example?x",
    ],
)
def test_what_is_none(text: str) -> None:
    """One sentence that names the setting."""
    with pytest.raises(ConfigurationError, match=r"^THERE (is|has) "):
        Target.parse(text, "THERE")


@pytest.mark.parametrize(
    ("text", "exposed"),
    [
        ("127.0.0.1:8081", False),
        ("127.9.9.9:8081", False),
        ("[::1]:8081", False),
        ("0.0.0.0:8081", False),
        ("localhost:8081", False),
        ("penstock.localhost:8081", False),
        ("10.0.0.5:8081", True),
        ("controlplane:8081", True),
        ("localhost.example:8081", True),
        ("https://controlplane:8081", False),
    ],
)
def test_who_can_read_a_token_on_its_way(text: str, exposed: bool) -> None:
    """Others than this machine can, where it leaves the machine without TLS."""
    assert Target.parse(text).is_exposed is exposed
