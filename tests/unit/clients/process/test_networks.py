"""Addresses and networks as people and programs write them."""

import pytest

from clients.process.exits import ConfigurationError
from clients.process.networks import parse_address, parse_networks, unmapped


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        (" 192.0.2.1 ", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("", None),
        ("unknown", None),
        ("_hidden", None),
        ("192.0.2", None),
        ("[" + "1" * 10_000, None),
    ],
)
def test_addresses(text: str, address: str | None) -> None:
    """With port, brackets and spaces, as load balancers of several makers write them; nothing else is one."""
    parsed = parse_address(text)
    assert (None if parsed is None else str(parsed)) == address


def test_networks() -> None:
    """A single address is a network too; what is none is told with the setting's name."""
    assert [str(each) for each in parse_networks("10.0.0.0/8, 192.0.2.1,2001:db8::/32,", "X")] == [
        "10.0.0.0/8",
        "192.0.2.1/32",
        "2001:db8::/32",
    ]
    assert parse_networks("", "X") == ()
    for wrong in ("10.0.0.1/8", "lb.example.com", "*"):
        with pytest.raises(ConfigurationError, match=r"PENSTOCK_X: .*give networks like 10\.0\.0\.0/8"):
            parse_networks(wrong, "PENSTOCK_X")


def test_what_a_socket_for_both_kinds_tells() -> None:
    """An IPv4 client is one of IPv4, however the socket writes it."""
    peers = ["::ffff:192.0.2.1", "192.0.2.1", "2001:db8::1", ""]
    assert [unmapped(peer) for peer in peers] == ["192.0.2.1", "192.0.2.1", "2001:db8::1", ""]
