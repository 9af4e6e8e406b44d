"""Parts of files on real sockets, on both event loops: whole, in order, never from a file that is closed."""

import asyncio
import errno
import os
import random
import socket
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tornado.iostream import StreamClosedError

from dataplane.http import pages
from dataplane.http.sendfile import TURN, FileFailed, FileStream

SIZE = 3 * TURN + 12_345
CONTENT = random.Random(1).randbytes(SIZE)

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test on one of the loops that a node may have."""

    def start(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(test, 60))

    return start


@pytest.fixture
def descriptor(tmp_path: Path) -> Iterator[int]:
    """A file with CONTENT."""
    path = tmp_path / "blob"
    path.write_bytes(CONTENT)
    opened = os.open(path, os.O_RDONLY)
    yield opened
    os.close(opened)


class Pair:
    """A stream, and the plain socket of its client; with `narrow`, one that hardly buffers."""

    def __init__(self, *, narrow: bool = False) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            if narrow:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            self.client = socket.socket()
            if narrow:
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            self.client.connect(listener.getsockname())
            self.client.setblocking(False)
            self.stream = FileStream(listener.accept()[0])

    async def read(self, count: int, step: int = 1 << 20) -> bytes:
        """Read as many bytes, `step` at a time; fewer only at the end of the connection."""
        loop, received = asyncio.get_running_loop(), bytearray()
        while len(received) < count:
            piece = await loop.sock_recv(self.client, min(step, count - len(received)))
            if not piece:
                break
            received += piece
        return bytes(received)

    def __enter__(self) -> "Pair":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()
        self.client.close()


def waited_for(sent: "asyncio.Future[None] | None") -> "asyncio.Future[None]":
    """Give what is done when a part is sent that the kernel cannot take at once."""
    assert sent is not None
    return sent


async def done(sent: "asyncio.Future[None] | None") -> None:
    """Wait until a part is sent, if it is not already."""
    if sent is not None:
        await sent


def test_parts_and_writes_keep_their_order(run: Run, descriptor: int) -> None:
    """Head, part, head, part, and a plain write: what the client gets is what was said, byte for byte."""

    async def test() -> None:
        with Pair() as pair:
            reading = asyncio.create_task(pair.read(5 + SIZE + 5 + 100 + 4))
            pair.stream.cork()
            pair.stream.write(b"head1")
            await done(pair.stream.send_part(descriptor, 0, SIZE))
            assert pair.stream.part_taken == SIZE
            pair.stream.cork()
            pair.stream.write(b"head2")
            assert pair.stream.send_part(descriptor, 1000, 1100) is None
            await pair.stream.write(b"tail")
            assert await reading == b"head1" + CONTENT + b"head2" + CONTENT[1000:1100] + b"tail"
            assert not pair.stream.sending

    run(test())


def test_what_was_written_before_goes_first(run: Run, descriptor: int) -> None:
    """Also when the socket takes none of it for a while."""

    async def test() -> None:
        with Pair() as pair:
            ahead = bytes(10 << 20)
            pair.stream.write(ahead)
            sent = waited_for(pair.stream.send_part(descriptor, 0, 1000))
            await asyncio.sleep(0.05)
            assert not sent.done()
            assert pair.stream.part_taken == 0
            assert await pair.read(len(ahead) + 1000) == ahead + CONTENT[:1000]
            await sent

    run(test())


def test_a_client_that_reads_byte_by_byte(run: Run, descriptor: int) -> None:
    """Gets the right bytes, and the loop is free for others meanwhile."""

    async def test() -> None:
        with Pair(narrow=True) as pair:
            sent = waited_for(pair.stream.send_part(descriptor, 0, SIZE))
            assert await pair.read(3000, step=1) == CONTENT[:3000]
            assert not sent.done()
            before = pair.stream.taken
            # Nobody reads: nothing moves, and that can be seen.
            await asyncio.sleep(0.05)
            assert pair.stream.taken == before
            assert pair.stream.sending

    run(test())


def test_a_client_that_leaves(run: Run, descriptor: int) -> None:
    """Whoever waits is told, and what was taken is known."""

    async def test() -> None:
        with Pair() as pair:
            sent = waited_for(pair.stream.send_part(descriptor, 0, SIZE))
            await pair.read(100)
            pair.client.close()
            with pytest.raises(StreamClosedError):
                await sent
            assert pair.stream.closed()
            assert 0 < pair.stream.part_taken < SIZE
            with pytest.raises(StreamClosedError):
                pair.stream.send_part(descriptor, 0, 10)
            assert pair.stream.part_taken == 0

    run(test())


def test_a_closed_stream_sends_no_more(run: Run, descriptor: int) -> None:
    """The number of the descriptor may mean another file at once."""

    async def test() -> None:
        with Pair() as pair:
            sent = waited_for(pair.stream.send_part(descriptor, 0, SIZE))
            pair.stream.close()
            taken = pair.stream.part_taken
            with pytest.raises(StreamClosedError):
                await sent
            assert len(await pair.read(SIZE)) == taken

    run(test())


@pytest.mark.parametrize("near", [True, False])
def test_a_file_that_has_lost_its_end(run: Run, tmp_path: Path, near: bool) -> None:
    """It is said how much was sent, and the connection can be used for the rest."""
    path = tmp_path / "short"
    path.write_bytes(CONTENT[:5000])

    async def test() -> None:
        with Pair() as pair, path.open("rb") as file:
            start = 0 if near else 5000
            with pytest.raises(FileFailed):
                await done(pair.stream.send_part(file.fileno(), start, 6000))
            assert pair.stream.part_taken == 5000 - start
            await pair.stream.write(b"the rest")
            assert await pair.read(5000 - start + 8) == CONTENT[start:5000] + b"the rest"

    run(test())


def test_a_file_that_is_cut_behind_what_was_sent(run: Run, tmp_path: Path) -> None:
    """What waits in the kernel is the file's own memory, and gone with it: the client gets no end to it."""
    path = tmp_path / "cut"
    path.write_bytes(CONTENT)

    async def test() -> None:
        with Pair() as pair, path.open("rb") as file:
            sent = waited_for(pair.stream.send_part(file.fileno(), 0, SIZE))
            os.truncate(path, 5000)
            reading = asyncio.create_task(pair.read(SIZE))
            with pytest.raises(StreamClosedError):
                await sent
            assert len(await reading) < SIZE

    run(test())


def test_pages_that_are_not_in_memory(run: Run, descriptor: int) -> None:
    """They are brought in a thread first; a client that leaves meanwhile disturbs nothing."""

    async def test() -> None:
        with Pair() as pair, Pair() as leaver:
            chill(descriptor)
            left = waited_for(leaver.stream.send_part(descriptor, TURN, SIZE))
            sent = waited_for(pair.stream.send_part(descriptor, 0, SIZE))
            assert not sent.done()
            assert pair.stream.part_taken == 0
            leaver.stream.close()
            with pytest.raises(StreamClosedError):
                await left
            assert await pair.read(SIZE) == CONTENT
            await sent
            assert pages.are_near(descriptor, 0, SIZE)

    run(test())


def chill(descriptor: int) -> None:
    """Have the kernel forget the file's pages; skips the test where it does not."""
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    if pages.are_near(descriptor, 0, TURN):
        pytest.skip("this file system keeps its pages in memory")


@pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL, errno.ENOSYS])
def test_a_disk_that_fails(run: Run, descriptor: int, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """In the middle, or as files cannot be sent from it; what the client has stays counted."""
    real, calls = os.sendfile, iter(range(10))

    def failing(out: int, source: int, offset: int, count: int) -> int:
        if next(calls):
            raise OSError(number, os.strerror(number))
        return real(out, source, offset, min(count, 7000))

    monkeypatch.setattr(os, "sendfile", failing)

    async def test() -> None:
        with Pair() as pair:
            with pytest.raises(FileFailed):
                await done(pair.stream.send_part(descriptor, 0, SIZE))
            assert pair.stream.part_taken == 7000
            await pair.stream.write(CONTENT[7000:9000])
            assert await pair.read(9000) == CONTENT[:9000]

    run(test())


def test_clients_take_turns(run: Run, descriptor: int) -> None:
    """One that takes as fast as it can does not keep another one waiting to the end."""

    async def test() -> None:
        with Pair() as greedy, Pair() as modest:
            taking = asyncio.create_task(greedy.read(SIZE))
            first = waited_for(greedy.stream.send_part(descriptor, 0, SIZE))
            await done(modest.stream.send_part(descriptor, 0, 100))
            assert not first.done()
            assert await modest.read(100) == CONTENT[:100]
            assert await taking == CONTENT

    run(test())
