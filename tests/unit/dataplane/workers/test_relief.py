"""Connections that wait for a worker which takes none, and who gets them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

import pytest

from clients.process.listen import Address
from dataplane.http.listening import name_of
from dataplane.workers.loads import Loads
from dataplane.workers.neighbours import Doors, received
from dataplane.workers.relief import Relief
from dataplane.workers.reserve import reserve
from tests.fakes.descriptors import none_left

COUNT = 3


class Scene:
    """What a supervisor of workers holds, none of which takes anything yet."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.loads = Loads.create(COUNT)
        self.doors = Doors(COUNT)
        stack.callback(self.loads.close)
        stack.callback(self.doors.close)
        self.queues = reserve(Address("127.0.0.1", 0), COUNT, stack)
        self.relief = Relief(self.loads, self.doors, self.queues)
        self.port = int(name_of(self.queues[0]).rpartition(":")[2])
        self._stack = stack

    def takes(self, index: int) -> None:
        """Has a worker take connections."""
        self.loads.stir(index)
        self.loads.has(index, 0)

    def connect(self, count: int) -> None:
        """Has clients connect, to whichever queue the kernel chooses."""
        for _ in range(count):
            self._stack.enter_context(socket.create_connection(("127.0.0.1", self.port)))

    async def behind(self, index: int) -> int:
        """Looks once, and counts what is behind a worker's door when nothing moves any more."""
        self.relief.look()
        for _ in range(5):
            await asyncio.sleep(0)
        count = 0
        with suppress(BlockingIOError):
            while True:
                for connection in received(self.doors.of(index)[0]):
                    connection.close()
                    self.loads.took(index)
                    count += 1
        return count


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """Workers on one port, and a supervisor that looks when it is told."""
    async with AsyncExitStack() as stack:
        scene = Scene(stack)
        relieving = asyncio.create_task(scene.relief.run())
        await asyncio.sleep(0)
        yield scene
        relieving.cancel()
        await asyncio.gather(relieving, return_exceptions=True)


async def test_whoever_takes_connections_gets_those_of_the_others(scene: Scene) -> None:
    """Not while nobody does, when they wait where they are."""
    scene.connect(20)
    assert [await scene.behind(index) for index in range(COUNT)] == [0, 0, 0]
    scene.takes(1)
    passed_on = await scene.behind(1)
    assert await scene.behind(1) == 0
    # Those that it has in its own queue are left to it.
    scene.takes(0)
    scene.takes(2)
    assert [await scene.behind(index) for index in range(COUNT)] == [0, 0, 0]
    assert 0 < passed_on < 20
    assert [scene.loads.of(index) for index in range(COUNT)] == [0, 0, 0]


async def test_what_was_given_to_a_worker_that_hangs_is_taken_back(scene: Scene) -> None:
    """And counts as the other's, whoever gave it."""
    scene.takes(1)
    outer = scene.doors.of(0)[1]
    with socket.socket() as connection:
        for _ in range(5):
            socket.send_fds(outer[0], [b"c"], [connection.fileno()])
            scene.loads.gives(1, 0)
    assert await scene.behind(1) == 5
    scene.takes(0)
    assert [scene.loads.of(index) for index in range(2)] == [0, 0]


async def test_without_a_descriptor_what_waits_is_not_lost(scene: Scene) -> None:
    """It is passed on when there is one again."""
    scene.connect(10)
    outer = scene.doors.of(0)[1]
    with socket.socket() as connection:
        socket.send_fds(outer[0], [b"c"], [connection.fileno()])
        scene.loads.gives(1, 0)
    scene.takes(1)
    with none_left():
        assert await scene.behind(1) == 0
    assert await scene.behind(1) > 1
    scene.takes(0)
    assert scene.loads.of(0) == 0


async def test_one_that_has_much_to_take_is_given_no_more(scene: Scene) -> None:
    """The rest waits in the queue, where it costs nothing."""
    scene.takes(1)
    scene.connect(250)
    assert await scene.behind(1) == 64


async def test_what_a_full_door_does_not_take_waits(scene: Scene) -> None:
    """It is given when there is room again, also where nobody else connects; no client is hung up on."""
    scene.connect(40)
    for outer in scene.doors.of(0)[1]:
        outer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    passed_on = []
    for _ in range(40):
        scene.takes(1)
        passed_on.append(await scene.behind(1))
    assert 0 < passed_on[0] < sum(passed_on)
    own = 0
    with suppress(BlockingIOError):
        while True:
            scene.queues[1][0].accept()[0].close()
            own += 1
    assert sum(passed_on) + own == 40
    assert scene.loads.of(1) == 0
