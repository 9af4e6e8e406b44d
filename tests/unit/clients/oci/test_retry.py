"""A request is tried again where that may help, after pauses, and only so often."""

import pytest

from clients.oci.errors import UpstreamBroken
from clients.oci.retry import Retry
from clients.oci.transport import Transport
from tests.fakes.clock import Pauses
from tests.fakes.registry import FakeRegistry
from tests.unit.clients.oci.asking import ping


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_passing_failure_is_ridden_out(
    transport: Transport, upstream: FakeRegistry, pauses: Pauses, status: int
) -> None:
    """Two failures are followed by a third attempt, after longer and longer pauses."""
    upstream.faults.add("version", status=status, times=2)
    assert (await transport.fetch(ping(upstream), limit=100)).status == 200
    assert upstream.count() == 3
    assert pauses == [0.25, 0.5]


async def test_a_lasting_failure_is_given_back(
    transport: Transport, upstream: FakeRegistry, pauses: Pauses
) -> None:
    """The third answer counts, whatever it is."""
    upstream.faults.add("version", status=503)
    assert (await transport.fetch(ping(upstream), limit=100)).status == 503
    assert upstream.count() == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 501])
async def test_other_answers_are_not_asked_for_again(
    transport: Transport, upstream: FakeRegistry, status: int
) -> None:
    """Asking again would not change them; after a 429 it would make things worse."""
    upstream.faults.add("version", status=status)
    assert (await transport.fetch(ping(upstream), limit=100)).status == status
    assert upstream.count() == 1


async def test_a_short_retry_after_is_kept_to(
    transport: Transport, upstream: FakeRegistry, pauses: Pauses
) -> None:
    """Where the upstream names a pause that is bearable, it is made."""
    upstream.faults.add("version", status=503, headers={"Retry-After": "3"}, times=1)
    assert (await transport.fetch(ping(upstream), limit=100)).status == 200
    assert pauses == [3]


async def test_a_long_retry_after_is_passed_on(
    transport: Transport, upstream: FakeRegistry, pauses: Pauses
) -> None:
    """Nobody waits here for minutes."""
    upstream.faults.add("version", status=503, headers={"Retry-After": "120"})
    answer = await transport.fetch(ping(upstream), limit=100)
    assert (answer.status, upstream.count(), pauses) == (503, 1, [])


async def test_a_broken_connection_is_tried_again(transport: Transport, upstream: FakeRegistry) -> None:
    """Without an answer, or with half of one."""
    upstream.faults.add("version", drop=True, times=1)
    upstream.faults.add("version", cut_after=1, times=1)
    assert (await transport.fetch(ping(upstream), limit=100)).body == b"{}"


async def test_a_connection_that_keeps_breaking_is_an_error(
    transport: Transport, upstream: FakeRegistry
) -> None:
    """Half an answer is never taken for a whole one."""
    upstream.faults.add("version", cut_after=1)
    with pytest.raises(UpstreamBroken, match="broke off"):
        await transport.fetch(ping(upstream), limit=100)


async def test_nobody_listening(transport: Transport, upstream: FakeRegistry, pauses: Pauses) -> None:
    """A refused connection is tried again, and then named."""
    await upstream.stop()
    with pytest.raises(UpstreamBroken, match="could not be reached") as caught:
        await transport.fetch(ping(upstream), limit=100)
    assert caught.value.host == upstream.host
    assert len(pauses) == 2


def test_pauses_grow_to_a_limit_and_are_drawn_at_random() -> None:
    """Full jitter below a bound that doubles."""
    assert list(Retry(attempts=6, first=1, longest=5, draw=lambda: 1.0).pauses()) == [1, 2, 4, 5, 5]
    assert list(Retry(attempts=3, first=1, draw=lambda: 0.5).pauses()) == [0.5, 1]
