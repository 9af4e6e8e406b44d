"""Circuit breakers: a dead upstream costs nothing for a moment, then one request finds out how it is."""

import asyncio

import pytest

from clients.oci.blob import BlobAccess, open_blob
from clients.oci.breaker import Breakers, State
from clients.oci.errors import UpstreamError, UpstreamPaused, UpstreamUnavailable
from clients.oci.registry import Registry
from clients.oci.transport import Transport
from clients.oci.upstream import Upstream
from tests.fakes.clock import Clock
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry

ORIGIN = "https://registry.example.com"
HOST = "registry.example.com"


def ask(breakers: Breakers, problem: str | None) -> None:
    """One request that ends so."""
    with breakers.watch(ORIGIN, HOST) as outcome:
        outcome.problem = problem


def opened(breakers: Breakers) -> Breakers:
    """One that has just opened."""
    for _ in range(6):
        ask(breakers, "It is down.")
    assert breakers.states() == {ORIGIN: State.OPEN}
    return breakers


def test_failures_in_a_row_open_it(clock: Clock) -> None:
    """An answer in between starts the count anew; then requests fail at once, with what was wrong."""
    breakers = Breakers(clock)
    for _ in range(5):
        ask(breakers, "It is down.")
    ask(breakers, "")
    assert breakers.states() == {}
    opened(breakers)
    with pytest.raises(UpstreamPaused, match=r"It is down\. That was 6 times in a row") as caught:
        ask(breakers, "")
    assert caught.value.retry_after == 1


def test_a_host_that_failed_now_and_then_is_asked_as_usual(clock: Clock) -> None:
    """By many at once; a sixth failure in a row has it left alone as briefly, however long they took."""
    breakers = Breakers(clock)
    for _ in range(6):
        with breakers.watch(ORIGIN, HOST), breakers.watch(ORIGIN, HOST) as outcome:
            outcome.problem = "It is down."
        clock.now += 10
    assert breakers.states() == {ORIGIN: State.HALF_OPEN}
    ask(breakers, "It is down.")
    with pytest.raises(UpstreamPaused) as caught:
        ask(breakers, "")
    assert caught.value.retry_after == 2


def test_what_says_nothing_of_the_host_changes_nothing(clock: Clock) -> None:
    """It is no answer between failures, and ends nobody's probe but its own."""
    breakers = Breakers(clock)
    with breakers.watch(ORIGIN, HOST):
        for _ in range(5):
            ask(breakers, "It is down.")
        ask(breakers, None)
        ask(breakers, "It is down.")
        assert breakers.states() == {ORIGIN: State.OPEN}
        clock.now += 1
        probe = breakers.watch(ORIGIN, HOST)
        probe.__enter__()
    with pytest.raises(UpstreamPaused):
        ask(breakers, "")
    probe.__exit__(None, None, None)
    ask(breakers, "")
    assert breakers.states() == {}


def test_hosts_that_are_remembered_are_bounded(clock: Clock) -> None:
    """Those that failed last; whoever has artifacts at ever new hosts fills no memory."""
    breakers = Breakers(clock)
    for number in range(1500):
        for origin in (f"https://{number}.example.com", *([] if number % 250 else [ORIGIN])):
            with breakers.watch(origin, HOST) as outcome:
                outcome.problem = "It is down."
    assert len(breakers.states()) == 1000
    assert breakers.states()[ORIGIN] is State.OPEN


def test_other_hosts_go_on(clock: Clock) -> None:
    """A breaker belongs to one origin: what another one answers opens and closes nothing."""
    breakers = opened(Breakers(clock))
    with breakers.watch("http://registry.example.com", HOST) as outcome:
        outcome.problem = ""
    assert breakers.states() == {ORIGIN: State.OPEN}


def test_one_probe_closes_it(clock: Clock) -> None:
    """While it is under way, everybody else is still refused."""
    breakers = opened(Breakers(clock))
    clock.now += 1
    assert breakers.states() == {ORIGIN: State.HALF_OPEN}
    with breakers.watch(ORIGIN, HOST) as outcome:
        with pytest.raises(UpstreamPaused):
            ask(breakers, "")
        outcome.problem = ""
    assert breakers.states() == {}
    ask(breakers, "")


def test_a_probe_that_fails_doubles_the_pause(clock: Clock) -> None:
    """Up to half a minute."""
    breakers = opened(Breakers(clock))
    for pause in (1, 2, 4, 8, 16, 30, 30):
        clock.now += pause - 0.5
        with pytest.raises(UpstreamPaused):
            ask(breakers, "")
        clock.now += 0.5
        ask(breakers, "It is still down.")


def test_a_probe_that_nobody_waited_for_says_nothing(clock: Clock) -> None:
    """The next request is the probe then."""
    breakers = opened(Breakers(clock))
    clock.now += 1
    with pytest.raises(asyncio.CancelledError), breakers.watch(ORIGIN, HOST):
        raise asyncio.CancelledError
    ask(breakers, "")
    assert breakers.states() == {}


def test_what_was_under_way_when_it_opened_does_not_prolong_it(clock: Clock) -> None:
    """Fifty requests that fail together are one outage."""
    breakers = Breakers(clock)
    watches = [breakers.watch(ORIGIN, HOST) for _ in range(50)]
    for outcome in [watch.__enter__() for watch in watches]:
        outcome.problem = "It is down."
    for watch in watches:
        watch.__exit__(None, None, None)
    clock.now += 1
    assert breakers.states() == {ORIGIN: State.HALF_OPEN}


@pytest.mark.parametrize("how", [{"status": 500}, {"status": 503}, {"drop": True}])
async def test_an_upstream_that_fails_is_left_alone(
    transport: Transport, upstream: FakeRegistry, clock: Clock, how: dict[str, object]
) -> None:
    """After two requests with all their attempts, nothing is sent, until the pause is over."""
    upstream.add(make_image(), "team/app", ["1.0"])
    upstream.faults.add("tags", **how)
    registry = Registry(transport, Upstream.parse(f"{upstream.host}/team/app", plain_http=True))
    for _ in range(2):
        with pytest.raises(UpstreamUnavailable):
            await registry.check()
    sent = len(upstream.requests)
    for _ in range(10):
        with pytest.raises(UpstreamPaused, match=upstream.host):
            await registry.check()
    assert len(upstream.requests) == sent
    upstream.faults.clear()
    clock.now += 1
    await registry.check()
    await registry.check()


async def test_an_upstream_that_fails_over_content_may_have_other(
    transport: Transport, upstream: FakeRegistry
) -> None:
    """A manifest or blob that it answers 500 for keeps nobody from the others."""
    image = upstream.add(make_image(), "team/app", ["1.0", "broken"])
    config, *_, layer = image.blobs
    for kind, reference in (("manifests", "broken"), ("blobs", config), ("referrers", image.digest)):
        upstream.faults.add(kind, reference=str(reference), status=500)
    registry = Registry(transport, Upstream.parse(f"{upstream.host}/team/app", plain_http=True))
    access = BlobAccess(upstream.base_url, "team/app", "", allow_private=True)
    for _ in range(6):
        for ask in (
            registry.head_manifest("broken"),
            registry.get_manifest("broken"),
            registry.referrers(image.digest),
            open_blob(transport, access, config).__aenter__(),
        ):
            with pytest.raises(UpstreamUnavailable, match="answered 500 when asked for"):
                await ask
    async with open_blob(transport, access, layer) as stream:
        assert stream.status == 200
    assert (await registry.get_manifest("1.0")).digest == image.digest


@pytest.mark.parametrize("status", [401, 403, 404, 429])
async def test_an_upstream_that_refuses_is_alive(
    transport: Transport, upstream: FakeRegistry, status: int
) -> None:
    """Refusals are answers."""
    upstream.faults.add("tags", status=status)
    registry = Registry(transport, Upstream.parse(f"{upstream.host}/team/app", plain_http=True))
    for _ in range(20):
        with pytest.raises(UpstreamError) as caught:
            await registry.check()
        assert not isinstance(caught.value, UpstreamPaused)
    assert transport.breakers.states() == {}


async def test_who_leads_to_a_host_does_not_speak_for_it(
    transport: Transport, upstream: FakeRegistry, elsewhere: FakeRegistry
) -> None:
    """A registry may redirect to where another fails as often as it likes: the other's users go on."""
    elsewhere.add(make_image(), "team/app", ["1.0"])
    upstream.faults.add("tags", redirect=f"{elsewhere.base_url}/no/such/path")
    elsewhere.faults.add("other", status=503)
    hostile, honest = (
        Registry(transport, Upstream.parse(f"{one.host}/team/app", plain_http=True))
        for one in (upstream, elsewhere)
    )
    for _ in range(3):
        with pytest.raises(UpstreamUnavailable):
            await hostile.check()
    with pytest.raises(UpstreamPaused, match=upstream.host):
        await hostile.check()
    assert await honest.check() == ["1.0"]
    assert transport.breakers.states() == {f"{elsewhere.base_url} for {upstream.base_url}": State.OPEN}
