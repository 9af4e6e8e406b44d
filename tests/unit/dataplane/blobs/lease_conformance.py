"""What everything that keeps leases must do; each one's tests run all of `REQUIREMENTS` against it."""

import asyncio
from collections.abc import Awaitable, Callable

from clients.oci.digest import Digest
from dataplane.blobs.leases import Leases

ONE, TWO = (Digest.of(b"one"), 3, "owner"), (Digest.of(b"two"), 3, "owner")
LASTS = 1.0
"""Seconds that leases are taken for."""
_PATIENCE = 20.0

MakeLeases = Callable[[str], Leases]
"""Makes leases for an owner, that last for LASTS."""


async def have_one_holder(make: MakeLeases) -> None:
    """Of many nodes that want a lease at once, one gets it; another blob's or owner's is another."""
    nodes = [make(f"node-{number}") for number in range(8)]
    for key in (ONE, TWO, (*ONE[:2], "another"), (*ONE[:2], "")):
        taken = await asyncio.gather(*(node.take(key) for node in nodes))
        assert sum(taken) == 1


async def can_be_taken_again_by_their_holder(make: MakeLeases) -> None:
    """Again and again, and by another process of the same node."""
    node, sibling, other = make("node"), make("node"), make("other")
    assert await node.take(ONE)
    assert await node.take(ONE)
    assert await sibling.take(ONE)
    assert not await other.take(ONE)


async def are_free_once_released(make: MakeLeases) -> None:
    """At once, and for anybody."""
    node, other = make("node"), make("other")
    assert await node.take(ONE)
    await node.release(ONE)
    assert await other.take(ONE)
    assert not await node.take(ONE)


async def cannot_be_released_by_others(make: MakeLeases) -> None:
    """What another holds stays; what nobody holds is no error."""
    node, other = make("node"), make("other")
    await other.release(ONE)
    assert await node.take(ONE)
    await other.release(ONE)
    assert not await other.take(ONE)


async def outlive_no_dead_holder(make: MakeLeases) -> None:
    """One that is not taken again ends by itself; one of those who then want it gets it."""
    dead, nodes = make("dead"), [make(f"node-{number}") for number in range(4)]
    assert await dead.take(ONE)
    async with asyncio.timeout(_PATIENCE):
        while not (taken := sum(await asyncio.gather(*(node.take(ONE) for node in nodes)))):  # noqa: ASYNC110 - a server
            await asyncio.sleep(0.1)
    assert taken == 1
    assert not await dead.take(ONE)
    # What its old holder says now does not end it.
    await dead.release(ONE)
    assert not await dead.take(ONE)


async def last_while_they_are_taken_again(make: MakeLeases) -> None:
    """For longer than they are taken for, twice over."""
    node, other = make("node"), make("other")
    for _ in range(round(2.5 * LASTS / 0.2)):
        assert await node.take(ONE)
        assert not await other.take(ONE)
        await asyncio.sleep(0.2)


REQUIREMENTS: list[Callable[[MakeLeases], Awaitable[None]]] = [
    have_one_holder,
    can_be_taken_again_by_their_holder,
    are_free_once_released,
    cannot_be_released_by_others,
    outlive_no_dead_holder,
    last_while_they_are_taken_again,
]
