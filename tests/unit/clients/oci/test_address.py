"""Only addresses of the public Internet are public, in whatever dress they come."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.oci.address import is_public, parse_address


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "8.8.8.8", "52.95.110.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"]
)
def test_public_addresses(text: str) -> None:
    """Where real registries are."""
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "127.255.255.255",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "169.254.170.2",
        "192.0.0.192",
        "168.63.129.16",
        "198.18.0.1",
        "192.0.2.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001:0:4136:e378:8000:63bf:5601:5601",
    ],
)
def test_addresses_that_are_not(text: str) -> None:
    """Loopback, link-local, metadata, private, shared, multicast, reserved; and IPv6 that carries one."""
    assert not is_public(ipaddress.ip_address(text))


def test_ipv6_that_carries_a_public_address_is_as_public() -> None:
    """Behind NAT64, every host of the IPv4 Internet has such an address."""
    assert is_public(ipaddress.ip_address("64:ff9b::808:808"))
    assert is_public(ipaddress.ip_address("::ffff:8.8.8.8"))


def test_addresses_are_told_from_names() -> None:
    """With and without a URL's brackets; short and octal forms are names to us, for the resolver to judge."""
    assert parse_address("[::1]") == parse_address("::1") == ipaddress.IPv6Address("::1")
    assert parse_address("10.0.0.1") == ipaddress.IPv4Address("10.0.0.1")
    assert [parse_address(text) for text in ("a.example", "127.1", "0177.0.0.1", "2130706433", "")] == [
        None
    ] * 5


@given(st.ip_addresses(v=4))
def test_carrying_changes_nothing(address: ipaddress.IPv4Address) -> None:
    """An IPv4 address is as public when an IPv6 one carries it."""
    assert is_public(ipaddress.ip_address(f"::ffff:{address}")) == is_public(address)
