"""Listening addresses."""

import socket

import pytest

from clients.process.exits import ConfigurationError
from clients.process.listen import Address, bind, check_free

SETTING = "PENSTOCK_GRPC_LISTEN"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8081", "127.0.0.1", 8081),
        ("0.0.0.0:80", "0.0.0.0", 80),
        ("[::1]:8081", "::1", 8081),
        ("localhost:0", "localhost", 0),
        (" example.com:65535 ", "example.com", 65535),
    ],
)
def test_addresses(text, host, port):
    """Names, IPv4, and IPv6 in brackets; written again the same way."""
    address = Address.parse(text, SETTING)
    assert (address.host, address.port) == (host, port)
    assert str(address) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8081",
        ":8081",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "::1:8081",
        "[::1]",
        "[]:1",
        "[x:1",
        "[127.0.0.1]:1",
        "http://127.0.0.1:8081",
        "a b:1",
        "u@h:1",
        "127.0.0.1:٣",
    ],
)
def test_what_is_no_address(text):
    """One sentence that names the setting."""
    with pytest.raises(ConfigurationError, match=SETTING):
        Address.parse(text, SETTING)


def test_where_a_client_finds_it():
    """All interfaces include loopback."""
    assert str(Address("0.0.0.0", 1).dialled) == "127.0.0.1:1"
    assert str(Address("::", 1).dialled) == "[::1]:1"
    assert str(Address("10.0.0.1", 1).dialled) == "10.0.0.1:1"


def test_what_is_bound_takes_connections():
    """At the port that the system chose."""
    (listener,) = bind(Address("127.0.0.1", 0), SETTING)
    with listener, socket.create_connection(listener.getsockname()):
        assert listener.getsockname()[1] != 0


def test_a_name_with_several_addresses():
    """One socket for each, all at one port."""
    listeners = bind(Address("localhost", 0), SETTING)
    try:
        assert len({listener.getsockname()[1] for listener in listeners}) == 1
    finally:
        for listener in listeners:
            listener.close()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_all_addresses_of_both_kinds():
    """As for gRPC and most servers: an IPv4 client need not know that the setting says IPv6."""
    (listener,) = bind(Address("::", 0), SETTING)
    port = listener.getsockname()[1]
    with listener:
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()


@pytest.mark.parametrize("shared", [False, True])
def test_a_port_that_is_taken(shared):
    """Says which one, and what to change; also where the other one would share it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
        other.bind(("127.0.0.1", 0))
        other.listen()
        address = Address("127.0.0.1", other.getsockname()[1])
        with pytest.raises(ConfigurationError, match=f"{address}.*taken.*{SETTING}"):
            check_free(address, SETTING)


def test_a_port_that_is_free():
    """Looking does not take it."""
    (listener,) = bind(Address("127.0.0.1", 0), SETTING)
    address = Address("127.0.0.1", listener.getsockname()[1])
    listener.close()
    check_free(address, SETTING)
    check_free(address, SETTING)


@pytest.mark.parametrize("host", ["192.0.2.201", "no-such-host.invalid"])
def test_an_address_of_somebody_else(host):
    """Neither another machine's address nor a name that is none."""
    with pytest.raises(ConfigurationError, match=SETTING):
        bind(Address(host, 0), SETTING)
