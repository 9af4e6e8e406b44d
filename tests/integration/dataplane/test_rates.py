"""Bytes a second, as clients of a whole node see them: whichever way an answer takes."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.blobs import content_of
from tests.fakes.controlplane import FakeControlPlane
from tests.fakes.images import make_image
from tests.fakes.registry import FakeRegistry
from tests.integration.dataplane.conftest import Setup, until

MIB = 1 << 20
IMAGE = make_image([2 * MIB])
BLOB = IMAGE.layers[0]


@pytest.fixture
async def setup(plane: FakeControlPlane, fake: FakeRegistry, tmp_path: Path) -> AsyncIterator[Setup]:
    """A node that has not been started."""
    setup = Setup(plane, fake, tmp_path / "data")
    yield setup
    await setup.close()


@pytest.mark.parametrize(
    ("limit", "metric"),
    [("max_rate_per_token", "token"), ("max_rate_per_address", "address"), ("max_rate", "node")],
)
async def test_a_rate_holds_on_every_way(setup: Setup, limit: str, metric: str) -> None:
    """In front of the parser, behind it, from a growing file, in parts; every byte comes; it is counted."""
    content = content_of(BLOB)
    for fast_path in (True, False):
        setup.node = setup.new_node(**{limit: 4 * MIB}, fast_path=fast_path)
        await setup.start()
        if fast_path:
            await setup.artifact(IMAGE)
        for headers, length in (
            ({}, BLOB.size),
            ({}, BLOB.size),
            ({"Range": "bytes=0-9,200-"}, BLOB.size - 190),
        ):
            begun = time.monotonic()
            answer = await setup.get(f"blobs/{BLOB.digest}", **headers)
            # What it may be ahead by, and a turn, go without waiting.
            assert time.monotonic() - begun > (length / MIB - 1.5) / 4
            assert content[200:] in answer.body
        # Three times a whole blob at four mebibytes a second.
        assert await setup.metric("penstock_node_limit_hits_total", limit=f"{metric}_rate") > 3
        await setup.node.stop()
    setup.node = setup.new_node()


async def test_a_client_that_waits_for_its_turn_is_not_idle(setup: Setup) -> None:
    """Its connection is neither stalled nor left to rest, and is let go of when it leaves."""
    setup.node = setup.new_node(max_rate="64KiB", stall_timeout="100ms", idle_timeout="100ms")
    await setup.start()
    await setup.artifact(IMAGE)
    pull = asyncio.create_task(setup.get(f"blobs/{BLOB.digest}"))
    await asyncio.sleep(1)
    assert not pull.done()
    assert await setup.metric("penstock_node_limit_hits_total", limit="stall") == 0
    pull.cancel()
    await asyncio.gather(pull, return_exceptions=True)
    await until(lambda: setup.node._registry_server.active == 0)
