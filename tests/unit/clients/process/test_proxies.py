"""Whose request it is that comes through proxies."""

import pytest

from clients.process.networks import parse_networks
from clients.process.proxies import Proxies

PROXIES = Proxies(parse_networks("10.0.0.0/8,2001:db8::/32", "X"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        # Nobody who is trusted has said anything.
        ("10.0.0.1", "", "10.0.0.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("", "198.51.100.7", ""),
        # One proxy, and two of them.
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("2001:db8::1", "198.51.100.7,10.0.0.2", "198.51.100.7"),
        # What a client writes itself stands before what the first proxy has seen.
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
        # All of it is from inside.
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        # No address: whoever gave that is as far as it goes.
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, , 10.0.0.2", "10.0.0.2"),
        # As they are written by some.
        ("10.0.0.1", "198.51.100.7:4711", "198.51.100.7"),
        ("10.0.0.1", "[2001:db9::7]:4711", "2001:db9::7"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"),
    ],
)
def test_clients(peer: str, forwarded: str, client: str) -> None:
    """The first address from behind that no trusted proxy has; asked again, the answer is the same."""
    assert [PROXIES.client(peer, forwarded) for _ in range(2)] == [client] * 2


def test_nobody_is_trusted() -> None:
    """Without networks no header counts."""
    assert Proxies().client("10.0.0.1", "198.51.100.7") == "10.0.0.1"


def test_very_many_entries() -> None:
    """Only the last ones are looked at, however long a client inside makes the header."""
    assert PROXIES.client("10.0.0.1", "198.51.100.7" + ", 10.0.0.2" * 10_000) == "10.0.0.2"
    assert PROXIES.client("10.0.0.1", "10.0.0.2, " * 10_000 + "198.51.100.7") == "198.51.100.7"
