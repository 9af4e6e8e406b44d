"""What a worker and its supervisor say to each other, over a pair of sockets that nobody else can open.

Lines of JSON. The supervisor sends an empty object to ask for a report. A worker says once that it serves
(`{"ready": true}`), or why it cannot (`{"failure": "..."}`), and answers with reports. What workers say of
the configuration (`{"configuration": {...}}`, see `config.relay`), of their disk (`{"trouble": "..."}`) and
of manifests (`{"resolved": [uid of the artifact, digest]}`) is passed on. What they noted of requests
(parcels: their number, a space, and an array) goes to the leading worker, which is told when the others have
ended (`{"alone": true}`). All are told when those who stop the node do not wait any longer
(`{"hurry": true}`). Either takes the end of the channel for the end of the other.

Nobody waits for the other to read. What one does not read is kept up to a bound, and not sent beyond it:
records are then counted as lost, a configuration is on the board, and a report is asked for again.
"""

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final, Self, cast

from dataplane.events.parcels import Parcel

# A node's metrics are some ten KiB, a change of the configuration is a MiB at most.
_LONGEST: Final = 16 << 20
# Bytes that wait for the other end to read, and that came and wait to be taken.
_MOST_WAITING: Final = 16 << 20
# Seconds that the other end has to read the last of it.
_PARTING: Final = 5.0

_PIECE: Final = 256 << 10

Message = dict[str, Any] | Parcel


class Channel(asyncio.Protocol):
    """One end; makes itself of a connected socket, by `of`.

    All that the other end said before it was gone can be received, however it went: a StreamReader forgets
    what was not taken yet when the connection is reset, and a transport that cannot write reads no more.
    """

    def __init__(self, end: socket.socket) -> None:
        self._transport: asyncio.Transport | None = None
        self._tail = end.dup()
        self._rest = bytearray()
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._paused = False
        self._came = asyncio.Event()
        self._ended = asyncio.Event()

    @classmethod
    async def of(cls, end: socket.socket) -> Self:
        """Take over a socket."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(lambda: cls(end), sock=end)
        return channel

    def send(self, message: Message) -> bool:
        """Send a message; False where there is nobody to read it, or it does not."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > _MOST_WAITING:
            return False
        transport.write(_encoded(message))
        return True

    async def received(self) -> AsyncIterator[Message]:
        """Give what comes, until the other end is gone or says what cannot be understood."""
        while True:
            while self._lines:
                line = self._lines.popleft()
                self._waiting -= len(line)
                self._go_on()
                try:
                    message = _decoded(line)
                except ValueError:
                    return
                yield message
            if self._ended.is_set():
                return
            self._came.clear()
            await self._came.wait()

    async def close(self) -> None:
        """Let go of the socket, when the other end has read what was sent, or will not."""
        if self._transport is None:
            return
        self._transport.close()
        try:
            async with asyncio.timeout(_PARTING):
                await self._ended.wait()
        except TimeoutError:
            self._transport.abort()
            await self._ended.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See Protocol."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See Protocol."""
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
            self._lines.extend(lines)
            self._waiting += sum(map(len, lines))
            self._came.set()
        self._rest += rest
        if self._transport is None or self._transport.is_closing():
            return
        if len(self._rest) > _LONGEST:
            self._transport.abort()
        elif self._waiting > _MOST_WAITING and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - of Protocol
        """See Protocol."""
        with self._tail, suppress(OSError):
            while len(self._rest) <= _LONGEST and (data := self._tail.recv(_PIECE, socket.MSG_DONTWAIT)):
                self.data_received(data)
        self._ended.set()
        self._came.set()

    def _go_on(self) -> None:
        if self._paused and self._waiting <= _MOST_WAITING:
            self._paused = False
            if self._transport is not None and not self._transport.is_closing():
                self._transport.resume_reading()


def _encoded(message: Message) -> bytes:
    if isinstance(message, Parcel):
        return b"%d %s\n" % (message.size, message.content)
    return json.dumps(message).encode() + b"\n"


def _decoded(line: bytes) -> Message:
    if line[:1] == b"{":
        return dict(json.loads(line))
    count, _, content = line.partition(b" ")
    return Parcel(int(count), content)
