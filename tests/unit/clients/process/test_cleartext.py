"""Who can read what leaves this machine in clear."""

import socket

import pytest

from clients.process import cleartext


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("LOCALHOST", True),
        ("penstock.localhost", True),
        ("192.0.2.1", False),
        ("2001:db8::1", False),
        ("controlplane", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_what_stays_on_this_machine(host: str, here: bool) -> None:
    """Loopback by number or its own name; not what another name may stand for."""
    assert cleartext.is_here(host) is here


def test_an_address_of_its_own() -> None:
    """What this machine has itself is reached without leaving it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this machine has no address but loopback")
        assert cleartext.is_here(asked.getsockname()[0])


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@cache:6379/0",
        "redis://penstock:hunter2@cache",
        "redis://cache/0?password=hunter2",
        "http://me:hunter2@collector:4318",
    ],
)
def test_a_password_that_others_can_read(url: str) -> None:
    """It is told, with the setting, and without the password."""
    warning = cleartext.warning(url, "THERE")
    assert warning.startswith("THERE has a password")
    assert "hunter2" not in warning


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis://cache:6379/0",
        "rediss://:hunter2@cache",
        "redis://:hunter2@127.0.0.1",
        "unix://:hunter2@/run/redis.sock",
        "https://me:hunter2@collector",
        "redis://[bad",
    ],
)
def test_what_nobody_else_can_read(url: str) -> None:
    """Without a password, by TLS, or on this machine; what is no URL is somebody else's to refuse."""
    assert not cleartext.warning(url, "THERE")
