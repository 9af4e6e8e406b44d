"""Anonymous tokens: got when a registry wants one, shared, renewed in time, and never asked of a stranger."""

import asyncio

import pytest

from clients.oci.errors import (
    UpstreamDenied,
    UpstreamError,
    UpstreamInvalid,
    UpstreamNotFound,
    UpstreamRateLimited,
    UpstreamUnavailable,
)
from clients.oci.registry import Registry
from clients.oci.transport import Transport
from tests.fakes.clock import Clock
from tests.fakes.registry import FakeRegistry
from tests.fakes.secrets import remembers
from tests.fakes.tokens import TokenService
from tests.unit.clients.oci.asking import IMAGE, client


async def test_a_token_is_got_once_and_kept(registry: Registry, upstream: FakeRegistry) -> None:
    """The first request is refused, asks for a token of the right scope, and is made again."""
    for _ in range(3):
        assert (await registry.get_manifest("1.0")).digest == IMAGE.digest
    assert (upstream.count(kind="token"), upstream.count(kind="manifests")) == (1, 4)
    (asked,) = [seen for seen in upstream.requests if seen.kind == "token"]
    assert asked.path == "/token?service=fake-registry&scope=repository:team/app:pull"
    assert "Authorization" not in asked.headers


async def test_each_repository_has_its_token(
    registry: Registry, transport: Transport, upstream: FakeRegistry, service: TokenService
) -> None:
    """A token reads one repository; another client of the same one shares it."""
    await registry.check()
    await client(transport, upstream, "team/app").check()
    assert len(service.issued) == 1
    await client(transport, upstream, "team/other").check()
    assert len(service.issued) == 2


async def test_wishes_at_the_same_time_are_merged(
    registry: Registry, upstream: FakeRegistry, service: TokenService
) -> None:
    """Fifty requests that start without a token fetch one."""
    upstream.faults.add("token", delay=0.05)
    await asyncio.gather(*(registry.head_manifest("1.0") for _ in range(50)))
    assert len(service.issued) == 1


async def test_who_asked_first_may_leave(
    registry: Registry, upstream: FakeRegistry, service: TokenService
) -> None:
    """A fetch that others wait for goes on when the one who began it is cancelled."""
    gate = asyncio.Event()
    upstream.faults.add("token", pause_after=0, gate=gate)
    first, second = (asyncio.create_task(registry.check()) for _ in range(2))
    await upstream.asked("tags", 2)
    await upstream.asked("token")
    first.cancel()
    gate.set()
    await second
    assert first.cancelled()
    assert len(service.issued) == 1


async def test_it_is_renewed_before_it_ends(registry: Registry, clock: Clock, service: TokenService) -> None:
    """Nobody is sent off with a token that is about to end: of five minutes, the last half is left."""
    await registry.check()
    clock.now += 269
    await registry.check()
    assert len(service.issued) == 1
    clock.now += 2
    await registry.check()
    assert len(service.issued) == 2


async def test_one_without_a_life_lasts_a_minute(
    registry: Registry, clock: Clock, service: TokenService
) -> None:
    """As the specification says, less the last fifth."""
    service.tells_lifetime = False
    authorization = await registry.authorization()
    assert authorization.expires_at is not None
    assert authorization.expires_at.timestamp() == clock.now + 60
    clock.now += 49
    await registry.check()
    assert len(service.issued) == 2


@pytest.mark.parametrize(
    ("lifetime", "seconds"),
    [
        ("0", 60),
        ("-5", 60),
        ("true", 60),
        ('"300"', 60),
        ("null", 60),
        ("[]", 60),
        ("1e400", 86400),
        (f"1{400 * '0'}", 86400),
        ("86401", 86400),
        ("1.5", 1.5),
    ],
    ids=range(10),
)
async def test_strange_lives(
    registry: Registry, upstream: FakeRegistry, clock: Clock, lifetime: str, seconds: float
) -> None:
    """What is no number of seconds is not taken for one, and what is too long is a day at most."""
    upstream.faults.add("token", body=f'{{"token": "x", "expires_in": {lifetime}}}'.encode())
    with pytest.raises(UpstreamDenied):
        await registry.check()
    held = await registry.authorization()
    assert held.expires_at is not None
    assert held.expires_at.timestamp() - clock.now == seconds


async def test_one_that_was_withdrawn_is_replaced(registry: Registry, service: TokenService) -> None:
    """A token that is refused before its end costs one more request, not the answer."""
    await registry.check()
    service.revoke()
    await registry.check()
    assert len(service.issued) == 2


async def test_many_whose_token_was_withdrawn_share_the_next(
    registry: Registry, service: TokenService
) -> None:
    """All are refused with the old token, and one new one is fetched."""
    await registry.check()
    service.revoke()
    await asyncio.gather(*(registry.check() for _ in range(20)))
    assert len(service.issued) == 2


async def test_both_names_of_the_token_are_read(registry: Registry, service: TokenService) -> None:
    """`token` and OAuth's `access_token`; either will do."""
    service.fields = ("access_token",)
    await registry.check()
    service.revoke()
    service.fields = ("token", "access_token")
    await registry.check()


async def test_a_token_that_is_not_accepted(registry: Registry, upstream: FakeRegistry) -> None:
    """A registry that refuses what its own service gave is not asked for ever."""
    upstream.faults.add("token", body=b'{"token": "useless"}')
    with pytest.raises(UpstreamDenied, match="does not allow reading the tags of team/app"):
        await registry.check()
    assert upstream.count(kind="tags") == 2


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, UpstreamDenied, "gives no token to read team/app without credentials"),
        (401, UpstreamDenied, "gives no token to read team/app without credentials"),
        (403, UpstreamDenied, "gives no token to read team/app without credentials"),
        (404, UpstreamDenied, "gives no token to read team/app without credentials"),
        (429, UpstreamRateLimited, "fewer requests and refused a token for team/app"),
        (500, UpstreamUnavailable, "answered 500 when asked for a token"),
        (202, UpstreamInvalid, "unexpected answer 202 for a token"),
        (307, UpstreamInvalid, "unexpected answer 307 for a token"),
    ],
)
async def test_a_service_that_refuses(
    registry: Registry, upstream: FakeRegistry, status: int, kind: type[UpstreamError], words: str
) -> None:
    """Each answer has its error, which says that it was the token."""
    upstream.faults.add("token", status=status)
    with pytest.raises(kind, match=words):
        await registry.check()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "is not JSON"),
        (b"[]", "is not a JSON object"),
        (b"{}", "has no proper token"),
        (b'{"token": ""}', "has no proper token"),
        (b'{"token": 5}', "has no proper token"),
        (b'{"token": "a b"}', "has no proper token"),
        (b'{"token": "a\\r\\nX-Evil: 1"}', "has no proper token"),
        (b'{"token": "\\u00e4"}', "has no proper token"),
        (b'{"token": "a", "token": "b"}', "the same key twice"),
        (b'{"token": "' + b"a" * 100_000 + b'"}', "more than 65536 bytes"),
    ],
)
async def test_an_answer_that_is_none(
    registry: Registry, upstream: FakeRegistry, body: bytes, words: str
) -> None:
    """What could not stand in a header, or would fill memory, is refused."""
    upstream.faults.add("token", body=body)
    with pytest.raises(UpstreamInvalid, match=words):
        await registry.check()


async def test_a_token_request_is_not_redirected(
    registry: Registry, upstream: FakeRegistry, elsewhere: FakeRegistry
) -> None:
    """Where a token service sends one to is not what the registry named."""
    upstream.faults.add("token", redirect=elsewhere.base_url)
    with pytest.raises(UpstreamInvalid, match="redirects"):
        await registry.check()
    assert elsewhere.requests == []


async def test_what_is_handed_to_nodes(registry: Registry, upstream: FakeRegistry, clock: Clock) -> None:
    """The token that is held, with its end; without another request."""
    await registry.check()
    before = upstream.count()
    authorization = await registry.authorization()
    assert authorization.value == "Bearer fake-token-1"
    assert authorization.expires_at is not None
    assert authorization.expires_at.timestamp() == clock.now + 300
    assert upstream.count() == before
    assert "fake-token-1" not in repr(authorization)


async def test_a_node_that_was_refused_gets_another(registry: Registry, service: TokenService) -> None:
    """Also while the old one is still good by its date."""
    await registry.authorization()
    service.revoke()
    assert (await registry.authorization(renew=True)).value == "Bearer fake-token-2"


async def test_an_open_registry_wants_nothing(
    transport: Transport, upstream: FakeRegistry, clock: Clock
) -> None:
    """Which is found out once, and believed for some minutes."""
    upstream.add(IMAGE, "team/app", ["1.0"])
    registry = client(transport, upstream, "team/app")
    for _ in range(3):
        assert (await registry.authorization()).value == ""
    assert upstream.count() == 1
    clock.now += 301
    assert (await registry.authorization()).expires_at is None
    assert upstream.count() == 2


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
async def test_a_listing_that_is_not_to_be_had_does_not_keep_blobs_back(
    registry: Registry, upstream: FakeRegistry, status: int
) -> None:
    """The token is what matters, and it was got before the listing failed."""
    upstream.faults.add("tags", status=status)
    assert (await registry.authorization()).value == "Bearer fake-token-1"


async def test_a_repository_that_is_not_there(transport: Transport, upstream: FakeRegistry) -> None:
    """Has no blobs to give access to."""
    with pytest.raises(UpstreamNotFound, match="does not have the tags of team/none"):
        await client(transport, upstream, "team/none").authorization()


async def test_one_that_nobody_uses_goes_within_an_hour(
    registry: Registry, transport: Transport, upstream: FakeRegistry, clock: Clock, service: TokenService
) -> None:
    """With a credential that was deleted nobody asks; what it got does not stay until it ends by itself."""
    service.lifetime = 24 * 3600
    await registry.check()
    other = client(transport, upstream, "team/other")
    for minutes in (0, 30, 31):
        assert remembers(transport.tokens, "fake-token-1")
        clock.now += minutes * 60
        await other.check()
    assert not remembers(transport.tokens, "fake-token-1")
    assert len(service.issued) == 2


async def test_closing_ends_a_fetch_under_way(upstream: FakeRegistry, service: TokenService) -> None:
    """A transport that is closed leaves no task behind; who waited is told."""
    upstream.faults.add("token", stall=True)
    async with Transport(allow_private=True) as transport:
        task = asyncio.create_task(client(transport, upstream, "team/app").check())
        await upstream.asked("token")
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_is_remembered_is_bounded(
    transport: Transport, upstream: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The repository that was asked for longest ago is forgotten first."""
    monkeypatch.setattr("clients.oci.reader._REMEMBERED", 2)
    for name in ("a", "b", "a", "c", "a", "b"):
        upstream.add(IMAGE, name, ["1.0"])
        await client(transport, upstream, name).authorization()
    assert [seen.repository for seen in upstream.requests] == ["a", "b", "c", "b"]
