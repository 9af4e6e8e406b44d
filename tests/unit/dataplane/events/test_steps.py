"""Pulls while the clock of the node's machine is set, by hours: each is still one, ends, and counts once."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dataplane.events.event import Event
from dataplane.events.journal import Journal
from dataplane.events.noted import Noted
from dataplane.events.pulls import Pulls
from dataplane.events.records import Kind, Outline, Record, short
from dataplane.events.steps import Steps
from tests.unit.dataplane.events.test_report import CLIENT, Nodes, _report

LAYERS = [f"sha256:{number:064x}" for number in (1, 2)]
HOUR = 3600.0


class Node:
    """One that folds, whose clock can be set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.offset = 0.0
        self.noted = Noted()
        self.seen: list[Event] = []
        self.pulls = self.make()

    def make(self) -> Pulls:
        return Pulls(
            self.noted,
            Journal(self.folder, 1 << 20),
            _report(Nodes()),
            self.seen.extend,
            0.5,
            clock=self.clock,
        )

    def clock(self) -> float:
        return time.time() + self.offset

    def note(self, kind: Kind, digest: str, **more: object) -> None:
        now = self.clock()
        self.noted.put([Record(kind, now, now, CLIENT, "docker/20", digest)._replace(**more)])

    def begin(self) -> None:
        """A client gets the manifest, and begins to take its first layer."""
        outline = Outline(blobs=tuple(map(short, LAYERS)))
        self.note(Kind.GET, "sha256:ab", tag="1.0", outline=outline)
        self.note(Kind.BEGIN, LAYERS[0])

    def finish(self) -> None:
        """It gets all of the first layer, and of the second."""
        self.note(Kind.END, LAYERS[0], bytes=10, whole=True)
        self.note(Kind.SENT, LAYERS[1], bytes=10, whole=True)

    async def ended(self, count: int) -> None:
        """Waits until so many pulls have ended."""
        async with asyncio.timeout(20):
            while len(self.seen) < count:  # noqa: ASYNC110 - what it waits for tells nobody
                await asyncio.sleep(0.05)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """One that runs."""
    node = Node(tmp_path)
    await node.pulls.start()
    yield node
    await node.pulls.stop()


@pytest.mark.parametrize("step", [-2 * HOUR, 2 * HOUR, -3.0])
async def test_a_pull_during_which_the_clock_is_set(node: Node, step: float) -> None:
    """It goes on, is whole, and has the time that is right now; the next one of the same tag is another."""
    node.begin()
    await asyncio.sleep(0.8)
    # What others have noted and not told yet is of the time before.
    node.note(Kind.RUN, LAYERS[0])
    node.offset += step
    await asyncio.sleep(0.5)
    node.finish()
    await node.ended(1)
    node.begin()
    node.finish()
    await node.ended(2)
    assert [(event.bytes_sent, event.completed) for event in node.seen] == [(20, True)] * 2
    assert all(0 <= node.clock() - event.time < 60 for event in node.seen)


async def test_a_pull_that_a_process_with_another_clock_left_open(node: Node) -> None:
    """It was noted in a time that is to come, and ends all the same."""
    node.offset = 2 * HOUR
    node.begin()
    await asyncio.sleep(1.5)
    for task in node.pulls._tasks:
        task.cancel()
    await asyncio.gather(*node.pulls._tasks, return_exceptions=True)
    node.pulls._journal.close()
    node.offset = 0.0
    node.pulls = node.make()
    await node.pulls.start()
    node.finish()
    await node.ended(1)
    assert [(event.bytes_sent, event.completed) for event in node.seen] == [(20, True)]
    assert 0 <= node.clock() - node.seen[0].time < 60


def test_a_machine_that_slept_has_set_its_clock() -> None:
    """So far as those are concerned who measure by both clocks; what is slewed is no step."""
    wall, steady = [1000.0], [50.0]
    steps = Steps(lambda: wall[0], lambda: steady[0])
    for passed, at in ((1.0, 1.0), (1.0, 1.4), (1.0, 0.6)):
        steady[0] += passed
        wall[0] += at
        assert steps.look() == 0.0
    wall[0] += HOUR
    steady[0] += 1
    assert steps.look() == HOUR - 1
    assert steps.look() == 0.0
