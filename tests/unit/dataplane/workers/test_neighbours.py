"""Workers that even out their connections: servers on one port, each with what a worker would have."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest

from clients.process.listen import Address, bind
from dataplane.http.message import Answer, Request
from dataplane.http.server import Server
from dataplane.workers.loads import Loads
from dataplane.workers.neighbours import Doors, Neighbours
from dataplane.workers.share import Share
from tests.fakes.descriptors import none_left
from tests.fakes.waiting import until
from tests.unit.dataplane.http.serving import CLOSE, get

COUNT = 3

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Crew:
    """What a supervisor has, and the workers that it started."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.now = 1
        self.loads = Loads.create(COUNT, lambda: self.now)
        self.doors = Doors(COUNT)
        self.servers: dict[int, Server] = {}
        self._stack = stack
        # One to pass on, made while there are descriptors.
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stack.enter_context(socket.create_connection(listener.getsockname()))
        self.passed = stack.enter_context(listener.accept()[0])
        self.port = 0

    def neighbours(self, index: int) -> Neighbours:
        """Gives a worker's view of the others; it stirs, once."""
        self.loads.stir(index)
        return Neighbours(Share(index, COUNT), self.loads, *self.doors.of(index))

    def start(self, *indices: int) -> None:
        """Starts workers, each where there is none."""
        for index in indices:
            self.servers[index] = server = Server(partial(answer, index), others=self.neighbours(index))
            sockets = bind(Address("127.0.0.1", self.port), "test", shared=True)
            self.port = sockets[0].getsockname()[1]
            server.start(sockets)
            self._stack.push_async_callback(server.stop, 0)

    async def connect(self, count: int, waiting: int = 0) -> list[Client]:
        """Opens connections, and waits until workers have all but so many of them."""
        before = sum(self.connections())
        clients = [await asyncio.open_connection("127.0.0.1", self.port) for _ in range(count)]
        for _, writer in clients:
            self._stack.callback(writer.close)
        await self.have(before + count - waiting)
        return clients

    def pass_on(self, index: int) -> None:
        """Has a connection wait at the door of a worker, which has not seen it yet."""
        socket.send_fds(self.doors.of(index)[1][index], [b"c"], [self.passed.fileno()])
        self.loads.gives((index + 1) % COUNT, index)

    async def have(self, count: int) -> None:
        """Waits until workers have so many connections."""

        async def has() -> bool:
            return sum(self.connections()) == count

        await until(has)

    def connections(self) -> list[int]:
        """How many each worker has."""
        return [server.connections for server in self.servers.values()]


@pytest.fixture
async def crew() -> AsyncIterator[Crew]:
    """A crew without workers."""
    async with AsyncExitStack() as stack:
        crew = Crew(stack)
        yield crew
    crew.loads.close()
    crew.doors.close()


async def answer(index: int, _: Request) -> Answer:
    """Says which worker answers."""
    return Answer.whole(200, (), str(index).encode())


async def ask(client: Client) -> bytes:
    """Has a client ask something for the last time, and gives what the worker says."""
    reader, writer = client
    writer.write(get("/", CLOSE))
    return (await reader.read()).rpartition(b"\r\n\r\n")[2]


async def test_each_worker_has_as_many_as_the_others(crew: Crew) -> None:
    """Whatever the kernel does, and after others have left; and all of them are answered."""
    crew.start(0, 1, 2)
    clients = await crew.connect(30)
    assert crew.connections() == [10, 10, 10]
    answers = [await ask(client) for client in clients]
    assert sorted(answers) == [b"0"] * 10 + [b"1"] * 10 + [b"2"] * 10
    await crew.have(0)
    await crew.connect(7)
    assert sorted(crew.connections()) == [2, 2, 3]


async def test_one_that_has_more_takes_no_more(crew: Crew) -> None:
    """Clients that came before the others were there stay where they are; what comes next evens it out."""
    crew.start(0)
    await crew.connect(8)
    crew.start(1)
    await crew.connect(4)
    assert crew.connections() == [8, 4]
    await crew.connect(6)
    assert crew.connections() == [9, 9]


async def test_a_worker_that_stops_is_given_nothing(crew: Crew) -> None:
    """While it lets its transfers finish, the others share what comes."""
    crew.start(0, 1, 2)
    await crew.servers.pop(1).stop(0)
    await crew.connect(20)
    assert crew.connections() == [10, 10]


async def test_a_worker_that_stops_stays_shut(crew: Crew) -> None:
    """Also where it still takes what was at its door just then."""
    crew.start(0, 1)
    crew.pass_on(1)
    stopping = asyncio.create_task(crew.servers.pop(1).stop(1))
    await asyncio.sleep(0)
    assert crew.loads.of(1) > 1 << 60
    await crew.connect(6)
    assert crew.connections() == [6]
    await stopping


async def test_a_worker_without_descriptors_leaves_connections_where_they_are(crew: Crew) -> None:
    """The others are to give it no more; it has them as soon as it can."""
    taken: list[socket.socket] = []
    short = crew.neighbours(1)
    short.start(lambda connection, _: taken.append(connection))
    with none_left():
        crew.pass_on(1)
        await asyncio.sleep(0.05)
        assert taken == []
        assert crew.loads.of(1) > 1 << 60

    async def has_them() -> bool:
        return len(taken) == 1

    await until(has_them)
    short.has(1)
    assert crew.loads.of(1) == 1
    short.stop()
    taken[0].close()


async def test_what_was_on_its_way_to_a_worker_that_died_is_its_successors(crew: Crew) -> None:
    """It waits for that, as in the kernel's queue; and counts once."""
    died = crew.neighbours(1)
    died.start(lambda *_: None)
    crew.start(0)
    # It is killed: it takes nothing any more, and nobody knows yet.
    asyncio.get_running_loop().remove_reader(crew.doors.of(1)[0].fileno())
    clients = await crew.connect(10, waiting=5)
    assert crew.connections() == [5]
    # That is what a supervisor does then.
    crew.loads.ended(1)
    await crew.connect(3)
    assert crew.connections() == [8]
    crew.start(1)
    await crew.have(13)
    assert crew.connections() == [8, 5]
    assert [crew.loads.of(index) for index in (0, 1)] == [8, 5]
    assert sorted([await ask(client) for client in clients]) == [b"0"] * 5 + [b"1"] * 5


async def test_a_worker_whose_door_is_full_is_given_nothing(crew: Crew) -> None:
    """It hangs: what it cannot even be given is served by others."""
    hangs = crew.neighbours(1)
    hangs.start(lambda *_: None)
    crew.start(0)
    asyncio.get_running_loop().remove_reader(crew.doors.of(1)[0].fileno())
    outer = crew.doors.of(1)[1][1]
    with contextlib.suppress(BlockingIOError):
        while True:
            outer.send(b"c")
    crew.loads.has(1, 0)
    assert [await ask(client) for client in await crew.connect(5)] == [b"0"] * 5
    assert crew.loads.of(1) == 0


async def test_what_is_on_its_way_counts_before_it_can_be_taken(crew: Crew) -> None:
    """Or a worker that takes it at once would seem to have one less than it has, and be given another."""
    counted: list[int] = []

    class Door(socket.socket):
        def sendmsg(self, *arguments: Any) -> int:
            counted.append(crew.loads.of(1))
            return super().sendmsg(*arguments)

    inner, outer = crew.doors.of(0)
    with Door(fileno=os.dup(outer[1].fileno())) as door:
        crew.loads.stir(0)
        giver = Neighbours(Share(0, 2), crew.loads, inner, [outer[0], door])
        giver.start(lambda *_: None)
        taker = crew.neighbours(1)
        taker.start(lambda connection, _: connection.close())
        giver.has(1)
        assert giver.give(crew.passed.dup())
        giver.stop()
        taker.stop()
    assert counted == [1]


async def test_a_worker_that_does_not_take_what_it_is_given_is_given_no_more(crew: Crew) -> None:
    """It hangs: only so many wait for it as a burst would bring."""
    hangs = crew.neighbours(1)
    hangs.start(lambda *_: None)
    crew.start(0)
    asyncio.get_running_loop().remove_reader(crew.doors.of(1)[0].fileno())
    await crew.connect(200, waiting=64)
    assert crew.connections() == [136]


async def test_a_worker_that_hangs_is_given_nothing(crew: Crew) -> None:
    """Not even the few that it would have a place for; once it goes on, it has its share again."""
    hangs = crew.neighbours(1)
    hangs.start(lambda *_: None)
    crew.start(0)
    crew.now += 1_100_000_000
    crew.loads.stir(0)
    assert [await ask(client) for client in await crew.connect(5)] == [b"0"] * 5
    crew.loads.stir(1)
    asyncio.get_running_loop().remove_reader(crew.doors.of(1)[0].fileno())
    await crew.connect(6, waiting=3)


async def test_workers_that_were_all_stopped_keep_what_they_accept(crew: Crew) -> None:
    """Until the others have shown themselves: who goes on first gives nothing to who may never do."""
    crew.start(0, 1, 2)
    crew.now += 3_600_000_000_000
    await crew.connect(12)
    for index in range(COUNT):
        crew.loads.stir(index)
    await crew.connect(30)
    assert sum(crew.connections()) == 42


async def test_a_client_that_leaves_on_the_way_is_no_trouble(crew: Crew) -> None:
    """It has hung up before the other worker sees it."""
    crew.start(0, 1)
    await crew.connect(1)
    for _ in range(20):
        _, writer = await asyncio.open_connection("127.0.0.1", crew.port)
        writer.transport.abort()
    await crew.have(1)
    clients = await crew.connect(3)
    assert sorted(crew.connections()) == [2, 2]
    assert len([await ask(client) for client in clients]) == 3
