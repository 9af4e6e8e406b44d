"""What a worker and its supervisor say arrives whole, however they end, and takes no memory without end."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from dataplane.events.parcels import Parcel
from dataplane.workers import channel as subject
from dataplane.workers.channel import Channel, Message

Talk = Callable[[Channel, socket.socket], Coroutine[Any, Any, None]]
Run = Callable[[Talk], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Has a channel and the bare socket at its other end, on the loop of supervisors or that of workers."""

    async def whole(talk: Talk) -> None:
        here, there = socket.socketpair()
        channel = await Channel.of(here)
        with there:
            await asyncio.wait_for(talk(channel, there), 60)
        await channel.close()

    def start(talk: Talk) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(whole(talk))

    return start


async def _all(channel: Channel) -> list[Message]:
    return [message async for message in channel.received()]


def test_messages_arrive_in_order_however_they_are_cut(run: Run) -> None:
    """A byte at a time, many at once, and both kinds; the half of one that its sender left is none."""

    async def talk(channel: Channel, there: socket.socket) -> None:
        for piece in (b'{"a"', b": 1", b'}\n{"b": 2}\n3 [1,2,3]\n', b"{", b"}\n", b'{"half'):
            there.send(piece)
            await asyncio.sleep(0.01)
        there.close()
        assert await _all(channel) == [{"a": 1}, {"b": 2}, Parcel(3, b"[1,2,3]"), {}]

    run(talk)


def test_what_was_said_before_a_reset_is_heard(run: Run) -> None:
    """Of a worker that is killed with a message unread, and one that cannot be written to any more."""

    async def talk(channel: Channel, there: socket.socket) -> None:
        channel.send({"unread": True})
        await asyncio.sleep(0.05)
        there.send(b'{"last": 1}\n7 [words]\n')
        there.close()
        for _ in range(3):
            # The first of them finds nobody there.
            channel.send({"more": True})
        assert await _all(channel) == [{"last": 1}, Parcel(7, b"[words]")]
        assert not channel.send({})

    run(talk)


def test_what_nobody_reads_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sends is told; what was taken arrives when the other end reads again, and then there is room."""
    monkeypatch.setattr(subject, "_MOST_WAITING", 1 << 20)

    async def talk(channel: Channel, there: socket.socket) -> None:
        parcel = Parcel(1, b"[%s]" % (b"x" * 10_000))
        taken = sum(channel.send(parcel) for _ in range(1000))
        assert 100 < taken < 200

        def read() -> int:
            found = 0
            while found < taken * len(b"1 %s\n" % parcel.content):
                found += len(there.recv(1 << 20))
            return found

        assert await asyncio.to_thread(read) == taken * len(b"1 %s\n" % parcel.content)
        assert channel.send(parcel)

    run(talk)


def test_what_is_not_taken_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other end has to wait, and nothing is lost; a message that never ends is the end of the channel."""
    monkeypatch.setattr(subject, "_MOST_WAITING", 100_000)
    monkeypatch.setattr(subject, "_LONGEST", 1 << 20)

    async def talk(channel: Channel, there: socket.socket) -> None:
        line = b'{"x": "%s"}\n' % (b"x" * 990)
        sent = asyncio.create_task(asyncio.to_thread(there.sendall, line * 2000))
        await asyncio.sleep(0.2)
        assert not sent.done()
        received = channel.received()
        for _ in range(2000):
            assert (await anext(received))["x"] == "x" * 990  # type: ignore[call-overload]
        await sent

        async def refused(send: Callable[[bytes], None]) -> None:
            with pytest.raises(OSError, match=r"pipe|reset"):
                await asyncio.to_thread(send, b"x" * (4 << 20))

        await refused(there.sendall)
        assert [message async for message in received] == []

    run(talk)


def test_closing_waits_until_all_is_read(run: Run) -> None:
    """The last report of a worker that ends at once is whole."""

    async def talk(channel: Channel, there: socket.socket) -> None:
        parcel = Parcel(1, b"[%s]" % (b"x" * 1_000_000))
        channel.send(parcel)

        def read() -> bytes:
            found = b""
            while piece := there.recv(1 << 20):
                found += piece
            return found

        reading = asyncio.create_task(asyncio.to_thread(read))
        await channel.close()
        assert await reading == b"1 %s\n" % parcel.content

    run(talk)
