"""The rest of a long answer, read by the event loop straight into the buffers that are handed on.

The HTTP library copies each piece twice and arms a timer for it. Of a body whose length is known nothing is
left to parse once its head has been read, so the rest of a long one is taken from the connection itself,
plain or TLS. The connection cannot be used again after that, which a long body is worth.
"""

import asyncio
from collections import deque
from contextlib import suppress
from socket import SO_RCVLOWAT, SOL_SOCKET
from typing import Final

import aiohttp
from aiohttp.client_proto import ResponseHandler

from clients.process.buffers import Buffers

# Bytes that must be missing for a new connection to cost less than what is saved.
_WORTH: Final = 16 << 20
_BUFFER: Final = 1 << 20
# Less room than this is not read into: small reads cost as many turns of the loop.
_SMALLEST: Final = 64 << 10
# Bytes that wait for their reader before the upstream is slowed down.
_AHEAD: Final = 1 << 20
# Bytes that are worth a turn of the loop, while they come quickly and so many more are missing.
_TURN: Final = 1 << 20
_TAIL: Final = 2 << 20
# Seconds between two looks at whether they do: how long a first byte may wait for the others.
_PERIOD: Final = 0.05
# What one body needs at once, and what stays for the next.
_SPARE: Final = 8
_buffers: Final = Buffers(_BUFFER, _SPARE)


class Rest(asyncio.BufferedProtocol):
    """So many bytes of a connection, for one reader."""

    def __init__(
        self, length: int, idle: float, transport: asyncio.Transport, before: ResponseHandler
    ) -> None:
        """Take `length` bytes over from `before`; none for `idle` seconds breaks them off."""
        self._missing = length
        self._idle = idle
        self._transport = transport
        self._before = before
        self._loop = asyncio.get_running_loop()
        self._full: deque[memoryview] = deque()
        self._ahead = 0
        self._buffer = _buffers.take()
        # What of the buffer has been read, and has been given.
        self._end = self._start = 0
        self._paused = False
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._heard = self._loop.time()
        # What was missing at the last look, and how much must have come before the kernel says so.
        self._before_look = length
        self._turn = 1
        self._wait_for(_TURN if length >= _TAIL else 1)
        self._timer = self._loop.call_later(_PERIOD, self._look)
        transport.set_protocol(self)
        transport.resume_reading()

    async def read(self) -> memoryview:
        """Give the next bytes, none at their end.

        Raises ConnectionError where the connection ends before them, TimeoutError where nothing comes.
        """
        while not self._ahead:
            if not self._missing:
                return memoryview(b"")
            if self._failure is not None:
                raise self._failure
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._full:
            piece = self._full.popleft()
        else:
            piece = self._buffer[self._start : self._end]
            self._start = self._end
        self._ahead -= len(piece)
        if self._paused and not self._ahead:
            self._paused = False
            self._heard = self._loop.time()
            self._transport.resume_reading()
        return piece

    def close(self) -> None:
        """Give up what is missing."""
        self._timer.cancel()
        self._transport.close()
        _buffers.trim()

    def fail(self, failure: Exception) -> None:
        """Give up what is missing, and tell the reader why once it has what is there."""
        if self._missing and self._failure is None:
            self._failure = failure
            self.close()
            self._wake()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - more is always welcome
        """See BufferedProtocol."""
        if len(self._buffer) - self._end < _SMALLEST:
            if self._start < self._end:
                self._full.append(self._buffer[self._start : self._end])
            self._buffer = _buffers.take()
            self._start = self._end = 0
        return self._buffer[self._end : self._end + self._missing]

    def buffer_updated(self, nbytes: int) -> None:
        """See BufferedProtocol."""
        self._end += nbytes
        self._missing -= nbytes
        self._ahead += nbytes
        self._heard = self._loop.time()
        if self._missing < _TAIL:
            self._wait_for(1)
        if not self._missing:
            self.close()
        elif self._ahead >= _AHEAD:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """See BufferedProtocol."""
        self.fail(ConnectionResetError("The connection ended before the body did."))

    def connection_lost(self, exc: Exception | None) -> None:
        """See BufferedProtocol."""
        self.fail(exc or ConnectionResetError("The connection ended before the body did."))
        self._before.connection_lost(exc)

    def _look(self) -> None:
        now = self._loop.time()
        # While the reader is behind, nothing can come.
        if not self._paused and now - self._heard >= self._idle:
            self.fail(TimeoutError("Nothing has come for too long."))
            return
        come, self._before_look = self._before_look - self._missing, self._missing
        self._wait_for(_TURN if come >= _TURN and self._missing >= _TAIL else 1)
        self._timer = self._loop.call_later(_PERIOD, self._look)

    def _wait_for(self, count: int) -> None:
        """Have the kernel wait for so many bytes before it wakes the loop (socket(7), SO_RCVLOWAT)."""
        if self._turn != count:
            self._turn = count
            with suppress(OSError):
                self._transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_RCVLOWAT, count)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def take_rest(response: aiohttp.ClientResponse, idle: float) -> tuple[bytes, Rest] | None:
    """Take what has come of the body of an answer, and what is missing; None where that is not worth it."""
    connection, length = response.connection, response.content_length
    if connection is None or length is None or response.headers.get("Transfer-Encoding"):
        return None
    content = response.content
    if content.exception() is not None or length - content.total_bytes < _WORTH:
        return None
    transport, protocol = connection.transport, connection.protocol
    if protocol is None or transport is None or transport.is_closing():
        return None
    # It may go on reading after that, but not before the next turn of the loop.
    first = content.read_nowait()
    missing = length - content.total_bytes
    protocol.pause_reading()
    return first, Rest(missing, idle, transport, protocol)
