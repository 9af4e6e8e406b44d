"""Nodes behind proxies: whose pull it is, by whichever way the proxy says so, and who is believed."""

import asyncio
import logging
import socket
import ssl
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from dataplane.node import Node
from tests.fakes.images import make_image
from tests.integration.dataplane.conftest import Setup, basic, until
from tests.servers.certificates import Authority
from tests.servers.front import Front, documented

WINDOW = timedelta(milliseconds=100)
IMAGE = make_image([9000])
PROXY = "127.0.0.1"
CLIENT = "127.0.0.3"


def request(setup: Setup, path: str, *headers: str, agent: object = "") -> bytes:
    """An ordinary request, and one behind which the node hangs up, that concerns nobody's pull."""
    fields = [f"User-Agent: {agent}", "Host: x", f"Authorization: {basic(setup.token)}"]
    asked = [f"GET /v2/acme/app/{path} HTTP/1.1", *fields, *headers, ""]
    last = ["GET /v2/ HTTP/1.1", *fields, "Connection: close", "", ""]
    return "\r\n".join((*asked, *last)).encode()


async def ask(
    address: str | int, sent: bytes, *, source: str = CLIENT, tls: ssl.SSLContext | None = None
) -> bytes:
    """Send bytes from an IP address, and give all that comes back."""
    port = int(str(address).rpartition(":")[2])
    reader, writer = await asyncio.open_connection(
        PROXY, port, local_addr=(source, 0), ssl=tls, server_hostname=PROXY if tls else None
    )
    writer.write(sent)
    received = b""
    # What a connection that is closed in mid-sentence ends with.
    with suppress(ConnectionResetError):
        async with asyncio.timeout(30):
            received = await reader.read()
    writer.close()
    return received


async def addresses(setup: Setup, count: int) -> list[str]:
    """From where the pulls came that are reported next, by the agents who made them."""
    await until(lambda: len(setup.plane.pulls) == count)
    events = sorted(setup.plane.pulls.values(), key=lambda event: event.client)
    setup.plane.pulls.clear()
    return [event.address for event in events]


@pytest.mark.parametrize("fast", [True, False])
async def test_whom_a_trusted_proxy_names(setup: Setup, fast: bool) -> None:
    """It is the client in what is reported, whichever way answers; from anybody else it is ignored."""
    await setup.restart(pull_window=WINDOW, fast_path=fast, trusted_proxies=f"{PROXY}, 10.0.0.0/8")
    await setup.artifact(IMAGE)
    forwarded = "X-Forwarded-For: 203.0.113.9, 198.51.100.7, 10.0.0.3"
    two_lines = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 198.51.100.7")
    cases: list[tuple[str, tuple[str, ...], str]] = [
        (PROXY, (forwarded,), "198.51.100.7"),
        (PROXY, (forwarded,), "198.51.100.7"),
        (PROXY, two_lines, "198.51.100.7"),
        (PROXY, (), PROXY),
        (CLIENT, (forwarded,), CLIENT),
    ]
    for agent, (source, headers, _) in enumerate(cases):
        sent = request(setup, "manifests/1.0", *headers, agent=agent)
        assert b"200 OK" in await ask(setup.node.registry_address, sent, source=source)
    assert await addresses(setup, len(cases)) == [client for _, _, client in cases]
    # All but the first, which fetched it, and the one with two lines.
    assert await setup.metric("penstock_node_fast_answers_total") == (3 if fast else 0)
    await setup.node.stop()
    assert {use.address for report in setup.plane.uses for use in report.token_uses} <= {
        "198.51.100.7",
        PROXY,
        CLIENT,
    }


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_a_node_for_both_kinds_of_addresses(setup: Setup) -> None:
    """An IPv4 client is one there as well, for what is reported and for who is trusted."""
    await setup.restart(pull_window=WINDOW, registry_listen="[::]:0", trusted_proxies=PROXY)
    await setup.artifact(IMAGE)
    address = setup.node.registry_address
    assert b"200 OK" in await ask(address, request(setup, "manifests/1.0", agent=1))
    forwarded = request(setup, "manifests/1.0", "X-Forwarded-For: 198.51.100.7", agent=2)
    assert b"200 OK" in await ask(address, forwarded, source=PROXY)
    assert await addresses(setup, 2) == [CLIENT, "198.51.100.7"]


async def test_limits_are_those_of_the_client(setup: Setup) -> None:
    """Clients behind one proxy do not share what an address may have."""
    await setup.restart(trusted_proxies=PROXY, max_transfers_per_address=1)
    image = make_image([30_000_000])
    await setup.artifact(image)
    blob = f"blobs/{image.layers[0].digest}"
    port = int(setup.node.registry_address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection(PROXY, port, limit=1 << 16)
    writer.write(request(setup, blob, "X-Forwarded-For: 198.51.100.7"))
    await reader.readuntil(b"\r\n\r\n")
    # The first one reads no further.
    for client, status in (("198.51.100.7", b" 429 "), ("198.51.100.8", b" 200 ")):
        received = await ask(port, request(setup, blob, f"X-Forwarded-For: {client}"), source=PROXY)
        assert status in received[:20], client
    writer.close()


async def test_connections_that_are_introduced(setup: Setup, caplog: pytest.LogCaptureFixture) -> None:
    """With the header, what follows is answered; a proxy that sends none is cut, counted and told of once."""
    await setup.restart(
        pull_window=WINDOW, trusted_proxies=PROXY, proxy_protocol=True, header_timeout="200ms"
    )
    await setup.artifact(IMAGE)
    address, sent = setup.node.registry_address, request(setup, "manifests/1.0")
    header = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 8080\r\n"
    assert b"200 OK" in await ask(address, header + request(setup, "manifests/1.0", agent=1), source=PROXY)
    unknown = b"PROXY UNKNOWN\r\n" + request(setup, "manifests/1.0", agent=2)
    assert b"200 OK" in await ask(address, unknown, source=PROXY)
    # Who is no proxy speaks HTTP, and cannot say that they are somebody else.
    assert b"200 OK" in await ask(address, request(setup, "manifests/1.0", agent=3))
    assert await addresses(setup, 3) == ["198.51.100.7", PROXY, CLIENT]
    assert b" 400 " in await ask(address, header + sent)
    with caplog.at_level(logging.WARNING):
        for wrong in (sent, sent, b"PROXY TCP4 1", b""):
            assert await ask(address, wrong, source=PROXY) == b""
    assert await setup.metric("penstock_node_limit_hits_total", limit="proxy_header") == 4
    (told,) = [record.getMessage() for record in caplog.records if "PROXY protocol" in record.getMessage()]
    assert PROXY in told
    assert "send-proxy-v2" in told


@pytest.mark.real
async def test_real_proxies(setup: Setup, tmp_path: Path) -> None:
    """Set up as the documentation says, through to TLS as well, the pull is the client's."""
    await setup.restart(pull_window=WINDOW, trusted_proxies=PROXY)
    await setup.artifact(IMAGE)
    authority = Authority()
    pair = authority.issue(tmp_path / "served", PROXY)
    more = {"trusted_proxies": PROXY, "proxy_protocol": True, "pull_window": WINDOW}
    plain = setup.new_node(**more, data_dir=tmp_path / "plain")
    sealed = setup.new_node(
        **more, data_dir=tmp_path / "sealed", tls_certificate=pair.certificate, tls_key=pair.key
    )
    second = documented("haproxy", 1)
    first = second.replace("send-proxy-v2", "send-proxy")
    async with plain, sealed:
        for node in (plain, sealed):
            await until(lambda node=node: node.state.revision == setup.plane.revision)  # type: ignore[misc]
        ways: list[tuple[str, Node, ssl.SSLContext | None]] = [
            (documented("nginx"), setup.node, None),
            (documented("haproxy"), setup.node, None),
            (first, plain, None),
            (second, plain, None),
            (second, sealed, authority.client_context()),
        ]
        for agent, (snippet, node, tls) in enumerate(ways):
            front = Front(snippet, node.registry_address)
            try:
                sent = request(setup, "manifests/1.0", agent=agent)
                received = await ask(front.start().port, sent, tls=tls)
                assert IMAGE.manifest in received, snippet
            finally:
                front.stop()
        assert await addresses(setup, len(ways)) == [CLIENT] * len(ways)
