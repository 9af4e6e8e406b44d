"""A connection that sends parts of files without their bytes passing through this process (sendfile(2)).

Tornado's IOStream stays the only one that watches the socket: its write queue may end with a part of
a file, which is sent when all that was written before it is.
"""

import asyncio
import errno
import os
import socket
from typing import Any, Final

from tornado.ioloop import IOLoop
from tornado.iostream import IOStream

from dataplane.http import pages
from dataplane.http.pace import Pace

_WRITABLE: Final = IOLoop.WRITE
_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})
# Bytes for one client before the others get their turn, and how much the kernel is asked for at once.
TURN: Final = 4 << 20
_CALL: Final = 2 << 20
# Bytes of a part from which on it is worth two calls that its packets are full: sendfile ends one with every
# pipe that it fills, and the receiver and the kernel do the more for them.
_CORKED: Final = 128 << 10
# Of all that sendfile can fail with, what is the file's fault and not the connection's: the last two where
# its file system cannot be sent from.
_FILE_ERRORS: Final = frozenset({errno.EIO, errno.ESTALE, errno.ENODATA, errno.EINVAL, errno.ENOSYS})


class FileFailed(Exception):
    """The file's bytes cannot be had; `part_taken` of them were sent, and the connection still works."""


class FileStream(IOStream):
    """An IOStream that also sends parts of files."""

    def __init__(self, connection: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(connection, *arguments, **options)
        # Descriptor and stop of the part that is being sent; None when there is none.
        self._part: tuple[int, int] | None = None
        # Of that part; None while nobody waits for it.
        self._sent: asyncio.Future[None] | None = None
        self._begun = 0
        self._position = 0
        # Up to where the part's bytes were brought into memory.
        self._near = 0
        self._paging = False
        self._pace: Pace | None = None
        # What ends the wait of a client that has had its share for now.
        self._waiting: asyncio.TimerHandle | None = None
        self._corked = False
        self._filling = False
        self._loop = asyncio.get_running_loop()
        # Whether it has packets.
        self._internet = connection.family in _INTERNET
        if self._internet:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def taken(self) -> int:
        """Bytes that the kernel has taken since the connection began: grows while the client reads."""
        return self._total_write_done_index

    @property
    def part_taken(self) -> int:
        """Bytes of the part that was given last that the kernel has taken."""
        return self._position - self._begun

    def cork(self) -> None:
        """Announce that what is written next is followed by a part of a file at once."""
        self._corked = True

    def send_part(
        self, descriptor: int, start: int, stop: int, pace: Pace | None = None
    ) -> "asyncio.Future[None] | None":
        """Send bytes of a file after all that was written; None where the kernel has taken the last already.

        Otherwise that is when the future is done. With a pace it takes its time.
        The descriptor must stay open until the future is done or the connection is closed. Nothing can be
        written before that. Both raise StreamClosedError, or FileFailed, after which the connection still
        works. Cancellation of the future does not stop the transfer: close the connection for that.
        """
        self._begun = self._position = start
        self._check_closed()
        assert self._part is None, "one part at a time"  # noqa: S101 - the callers' contract
        self._total_write_index += stop - start
        self._part, self._near = (descriptor, stop), 0
        if stop - start >= _CORKED:
            self._fill_packets(fill=True)
        self._pace = pace
        if pace is not None:
            self._wait_for(pace.pay(0))
        self._handle_write()
        self._check_closed()
        if self._part is None:
            if self._position < stop:
                raise FileFailed
            return None
        self._sent = future = self._loop.create_future()
        future.add_done_callback(_looked_at)
        self._write_futures.append((self._total_write_index, future))
        if self.writing():
            self._add_io_state(self.io_loop.WRITE)
        self._maybe_add_error_listener()
        return future

    def write(self, data: bytes | memoryview) -> "asyncio.Future[None]":
        """See IOStream; not while a part of a file is being sent."""
        assert self._part is None, "nothing overtakes a part of a file"  # noqa: S101 - the callers' contract
        return super().write(data)

    def write_to_fd(self, data: memoryview) -> int:
        """See IOStream."""
        # Before a part of a file this is a head, which travels in the same packet as its first bytes.
        more = self._corked or self._part is not None
        try:
            return self.socket.send(data, socket.MSG_MORE if more else 0)
        finally:
            # Tornado resizes what this is a view of.
            del data

    def writing(self) -> bool:
        """See IOStream."""
        return bool(self._write_buffer) or (
            self._part is not None and not self._paging and self._waiting is None
        )

    @property
    def sending(self) -> bool:
        """Whether there is something that the client could take and has not taken yet."""
        return bool(self._write_buffer) or (self._part is not None and self._waiting is None)

    def set_nodelay(self, value: bool) -> None:
        """See IOStream; it is always on, for heads are held back by MSG_MORE."""

    def close(self, exc_info: Any = False) -> None:
        """See IOStream; the descriptor of a part is not used any more after this."""
        self._part = self._sent = None
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        super().close(exc_info)

    def _handle_events(self, fd: Any, events: int) -> None:
        if events == _WRITABLE and self._part is not None and not self._write_buffer:
            # The client has taken some of a part, which happens many times in each: without Tornado's
            # general way of finding out what comes next.
            self._handle_write()
            if self._part is not None and self._waiting is None and not self._paging:
                return
            events = 0
        super()._handle_events(fd, events)

    def _handle_write(self) -> None:
        if self._write_buffer or self._part is None:
            super()._handle_write()
        if self._closed or self._part is None or self._write_buffer or self._paging:
            return
        if self._waiting is not None:
            return
        self._corked = False
        self._send_some()

    def _send_some(self) -> None:
        descriptor, stop = self._part or (0, 0)
        begun = position = self._position
        turn = min(stop, begun + (TURN if self._pace is None else self._pace.turn))
        if begun >= self._near:
            # Looked at once for each turn, however many times the client takes some of it.
            if not pages.are_near(descriptor, begun, turn):
                self._page(descriptor, begun, turn)
                return
            self._near = turn
        turn = min(turn, self._near)
        failed = None
        try:
            while position < turn:
                asked = min(turn - position, _CALL)
                count = os.sendfile(self.socket.fileno(), descriptor, position, asked)
                if not count:
                    # What the kernel has not sent yet is the file's own memory, and cleared where the file
                    # was cut off: what the client then gets must not be completed.
                    is_cut = os.fstat(descriptor).st_size < position
                    raise OSError(errno.ECONNABORTED if is_cut else errno.EIO, "the file has lost its end")
                position += count
                if count < asked:
                    # More would find no room.
                    break
        except BlockingIOError:
            pass
        except OSError as error:
            failed = error
        self._position = position
        self._total_write_done_index += position - begun
        if self._pace is not None and position > begun:
            wait = self._pace.pay(position - begun)
            if position < stop:
                self._wait_for(wait)
        if position == stop:
            self._part = None
            self._sent = None
            self._fill_packets(fill=False)
            if self._write_futures:
                # Everything is sent: this resolves them.
                super()._handle_write()
        elif failed is not None:
            self._fail(failed, stop)

    def _fill_packets(self, *, fill: bool) -> None:
        """Have the kernel send no packet before it is full, or what is left (tcp(7), TCP_CORK)."""
        if fill != self._filling and self._internet:
            self._filling = fill
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, fill)

    def _wait_for(self, seconds: float) -> None:
        if seconds > 0:
            self._waiting = self._loop.call_later(seconds, self._go_on_sending)

    def _go_on_sending(self) -> None:
        self._waiting = None
        self._handle_write()
        if not self._closed and self.writing():
            self._add_io_state(self.io_loop.WRITE)

    def _fail(self, error: OSError, stop: int) -> None:
        if error.errno not in _FILE_ERRORS:
            # The client is gone, or cannot be reached any more.
            self.close(exc_info=error)
            return
        self._total_write_index -= stop - self._position
        self._part = None
        self._fill_packets(fill=False)
        sent, self._sent = self._sent, None
        if sent is not None:
            # Nothing is written behind a part: its future is the last.
            self._write_futures.pop()
        super()._handle_write()
        if sent is not None and not sent.done():
            sent.set_exception(FileFailed())

    def _page(self, descriptor: int, start: int, stop: int) -> None:
        # Once for each turn: memory may be so short that pages are gone again when they are sent.
        self._paging, self._near = True, stop
        # If the connection is closed meanwhile, the thread may find the number of another file: it only
        # reads, and throws away what it has read.
        fetching = self._loop.run_in_executor(None, pages.fetch, descriptor, start, stop)
        fetching.add_done_callback(self._paged)

    def _paged(self, fetching: "asyncio.Future[None]") -> None:
        self._paging = False
        if not (self._closed or fetching.cancelled()):
            self._handle_write()
            if self.writing():
                self._add_io_state(self.io_loop.WRITE)


def _looked_at(future: "asyncio.Future[None]") -> None:
    # Whoever gave the part may be gone.
    if not future.cancelled():
        future.exception()
