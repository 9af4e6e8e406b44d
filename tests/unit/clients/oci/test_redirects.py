"""Redirects are followed without credentials, and never to where an upstream may not be."""

from ipaddress import ip_address

import pytest
from yarl import URL

from clients.oci.address import Address
from clients.oci.errors import ForbiddenAddress, UpstreamInvalid
from clients.oci.request import Request
from clients.oci.transport import Transport
from tests.fakes.registry import FakeRegistry

SECRET = "Bearer tok-1234"


def ping(registry: FakeRegistry) -> Request:
    """A request with a credential."""
    return Request(host=registry.host, url=URL(f"{registry.base_url}/v2/"), authorization=SECRET)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_the_credential_stays_with_its_origin(
    transport: Transport, upstream: FakeRegistry, elsewhere: FakeRegistry, status: int
) -> None:
    """Another port is another origin: it gets the request, and no Authorization."""
    upstream.faults.add("version", redirect=elsewhere.base_url, redirect_status=status)
    answer = await transport.fetch(ping(upstream), limit=100)
    assert answer.status == 200
    assert str(answer.url) == f"{elsewhere.base_url}/v2/"
    assert upstream.requests[0].headers["Authorization"] == SECRET
    assert "Authorization" not in elsewhere.requests[0].headers


async def test_the_credential_does_not_come_back(
    transport: Transport, upstream: FakeRegistry, elsewhere: FakeRegistry
) -> None:
    """Whoever was redirected to cannot have it used on a path of the origin that it picks."""
    upstream.faults.add("version", redirect=elsewhere.base_url, times=1)
    elsewhere.faults.add("version", redirect=upstream.base_url)
    await transport.fetch(ping(upstream), limit=100)
    assert "Authorization" not in upstream.requests[1].headers


async def test_the_credential_stays_within_the_origin(transport: Transport, upstream: FakeRegistry) -> None:
    """A redirect to another path of the same origin keeps it."""
    upstream.faults.add("version", redirect=f"{upstream.base_url}/v2/?x=%2F", times=1)
    await transport.fetch(ping(upstream), limit=100)
    assert upstream.requests[1].headers["Authorization"] == SECRET
    assert upstream.requests[1].path == "/v2/?x=%2F"


async def test_going_round_in_circles(transport: Transport, upstream: FakeRegistry) -> None:
    """Five redirects are followed, and no more."""
    upstream.faults.add("version", redirect=upstream.base_url)
    with pytest.raises(UpstreamInvalid, match="more often"):
        await transport.fetch(ping(upstream), limit=100)
    assert upstream.count() == 6


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("ftp://127.0.0.1/x", "neither http nor https"),
        ("file:///etc/passwd", "neither http nor https"),
        ("http://user:hunter2@127.0.0.1/", "user name or password"),
        ("http://127.0.0.1:99999/", "malformed"),
        ("/v2/ x", "malformed"),
    ],
)
async def test_improper_targets(
    transport: Transport, upstream: FakeRegistry, location: str, problem: str
) -> None:
    """Refused with the reason, and without repeating the target."""
    upstream.faults.add("version", status=307, headers={"Location": location})
    with pytest.raises(UpstreamInvalid, match=problem) as caught:
        await transport.fetch(ping(upstream), limit=100)
    assert "hunter2" not in str(caught.value)


async def test_a_redirect_to_nowhere_is_an_answer(transport: Transport, upstream: FakeRegistry) -> None:
    """Without a Location, the caller decides what the status means."""
    upstream.faults.add("version", status=307)
    assert (await transport.fetch(ping(upstream), limit=100)).status == 307


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "0.0.0.0"]
)
async def test_private_addresses_are_refused(upstream: FakeRegistry, host: str) -> None:
    """As an address in any form, and as a name, before a single byte is sent."""
    port = upstream.host.rpartition(":")[2]
    url = URL(f"http://{host}:{port}/v2/", encoded=True)
    async with Transport() as transport:
        with pytest.raises(UpstreamInvalid):
            await transport.fetch(Request(host=host, url=url), limit=100)
    assert upstream.requests == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "[::1]"])
async def test_the_sentence_names_the_address(host: str) -> None:
    """So that the person who typed the name sees where it led."""
    async with Transport() as transport:
        with pytest.raises(ForbiddenAddress, match="private or reserved address") as caught:
            await transport.fetch(Request(host="registry.example", url=URL(f"https://{host}/v2/")), limit=100)
    assert caught.value.host == "registry.example"


async def test_a_request_may_be_stricter_or_laxer_than_the_transport(
    transport: Transport, upstream: FakeRegistry
) -> None:
    """Nodes are told with each access; a connection that was allowed is not used for what is not."""
    allowed = Request(host="r", url=URL(f"{upstream.base_url}/v2/"), allow_private=True)
    refused = Request(host="r", url=URL(f"{upstream.base_url}/v2/"), allow_private=False)
    by_name = Request(
        host="r", url=URL(f"{upstream.base_url}/v2/").with_host("localhost"), allow_private=False
    )
    async with Transport() as strict:
        for chosen in (strict, transport):
            assert (await chosen.fetch(allowed, limit=100)).status == 200
            assert (
                await chosen.fetch(Request(host="r", url=by_name.url, allow_private=True), limit=100)
            ).status == 200
            for request in (refused, by_name):
                with pytest.raises(ForbiddenAddress):
                    await chosen.fetch(request, limit=100)
    assert upstream.count() == 4


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2/x", "http://localhost/x", "http://169.254.169.254/latest"]
)
async def test_redirects_into_the_private_network_are_refused(
    upstream: FakeRegistry, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """The rule holds again at every hop: here, one address of this machine plays the public Internet."""

    def is_the_public_one(address: Address) -> bool:
        return address == ip_address("127.0.0.1")

    monkeypatch.setattr("clients.oci.transport.is_public", is_the_public_one)
    upstream.faults.add("version", redirect=target)
    async with Transport() as transport:
        with pytest.raises(ForbiddenAddress):
            await transport.fetch(ping(upstream), limit=100)
    assert upstream.count() == 1
