"""One client's connection: what is ordinary and warm is answered at once, Tornado's parser does the rest.

Bytes that arrive while nothing else goes on are looked at here. What the quick answerer takes is answered
in the same turn of the event loop; anything else is handed over, bytes included, to Tornado's
HTTP1Connection for one request, and then comes back here.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Final

from tornado.ioloop import IOLoop
from tornado.iostream import StreamClosedError

from dataplane.http.exchange import serve
from dataplane.http.failures import FAILURES
from dataplane.http.message import FileAnswer
from dataplane.http.sendfile import FileFailed, FileStream
from dataplane.http.service import Service

_LOG = logging.getLogger(__name__)

_READABLE: Final = IOLoop.READ
_READ: Final = 16 << 10
# What a client may send ahead while it is being answered; the rest waits in the kernel.
_MOST_AHEAD: Final = 64 << 10
_END: Final = b"\r\n\r\n"
_LINE: Final = b"\r\n"

# The content type of a TLS record that carries a ClientHello (RFC 8446, section 5.1); no HTTP
# request begins with this byte.
_HANDSHAKE: Final = 0x16
_NOT_TLS: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 33\r\nConnection: close\r\n\r\n"
    b"This port speaks HTTP, not HTTPS\n"
)


class Connection(FileStream):
    """A plain connection; serves from `start` until either side closes it.

    A client that begins with TLS is told at once, in a way that it understands: registry clients try
    https first where they were not told otherwise. Left to wait for the end of headers that never end,
    they come back after ten seconds.
    """

    def __init__(self, connection: socket.socket, address: str, service: Service) -> None:
        super().__init__(connection)
        self._address = address
        self._service = service
        # Bytes that nobody has looked at yet.
        self._ahead = b""
        self._begun = False
        # Whether Tornado's parser has the connection, or a quick answer is on its way.
        self._parsing = False
        self._answering = False
        self.stirred = True
        """Set when bytes came; reset by who looks after idle connections."""

    def start(self) -> None:
        """Begin to serve."""
        self._service.opened(self)
        self._add_io_state(self.io_loop.READ)

    @property
    def resting(self) -> bool:
        """Whether the next thing to happen is a request."""
        return not (self._parsing or self._answering)

    def reading(self) -> bool:
        """See IOStream."""
        if self._parsing:
            return super().reading()
        return not self._answering or len(self._ahead) < _MOST_AHEAD

    def close(self, exc_info: Any = False) -> None:
        """See IOStream."""
        self._service.closed(self)
        super().close(exc_info)

    def _handle_events(self, fd: Any, events: int) -> None:
        if (
            events == _READABLE
            and not (self._parsing or self._answering)
            and self._total_write_done_index == self._total_write_index
        ):
            # What nearly every event is, without Tornado's general way of finding out what comes next.
            self._receive()
            if not (self._parsing or self._answering) or self._closed:
                return
            events = 0
        super()._handle_events(fd, events)

    def _handle_read(self) -> None:
        if self._parsing:
            super()._handle_read()
        else:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self.socket.recv(_READ)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(exc_info=error)
            return
        if not data or (not self._begun and data[0] == _HANDSHAKE):
            if data:
                with contextlib.suppress(OSError):
                    self.socket.send(_NOT_TLS)
            self.close()
            return
        self._begun = self.stirred = True
        if self._ahead or self._answering:
            self._ahead += data
            if self._answering:
                return
            data, self._ahead = self._ahead, b""
        self._look(data)

    def _look(self, data: bytes) -> None:
        """Answer what has arrived, up to the first request that takes its time."""
        service = self._service
        quick = service.quick
        position, length = 0, len(data)
        while position < length:
            end = data.find(_END, position)
            line = data.find(_LINE, position)
            answer = (
                quick(data[position:line], data[line + 2 : end + 2], self._address)
                if quick is not None and end >= 0
                else None
            )
            if answer is None:
                self._hand_over(data[position:] if position else data)
                return
            position = end + len(_END)
            service.quick_answers += 1
            if not (self._send(answer) if isinstance(answer, bytes) else self._send_file(answer)):
                self._ahead = data[position:]
                return

    def _send(self, answer: bytes) -> bool:
        """Send a whole answer; False where it is on its way, or the connection has ended."""
        try:
            count = self.socket.send(answer)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self.close(exc_info=error)
            return False
        if count == len(answer):
            return True
        self._answering = True
        self._wait(self.write(memoryview(answer)[count:]), self._resume)
        return False

    def _send_file(self, answer: FileAnswer) -> bool:
        """Send an answer whose body is in a file; False as for `_send`."""
        self._answering = True
        head = answer.head
        try:
            # Nothing else is on its way. It is held back until the first of the file follows.
            count = self.socket.send(head, socket.MSG_MORE)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self.close(exc_info=error)
            answer.done(0)
            return False
        try:
            if count < len(head):
                self.cork()
                self.write(memoryview(head)[count:])
            sent = self.send_part(answer.part.descriptor, answer.part.start, answer.part.stop, answer.pace)
        except StreamClosedError:
            answer.done(self.part_taken)
            return False
        except FileFailed:
            self._send_otherwise(answer)
            return False
        if sent is None:
            self._answering = False
            answer.done(self.part_taken)
            return True
        self._wait(sent, partial(self._file_sent, answer))
        return False

    def _wait(self, sent: "asyncio.Future[None]", then: Callable[["asyncio.Future[None]"], None]) -> None:
        self._service.active.add(sent)
        sent.add_done_callback(self._service.active.discard)
        sent.add_done_callback(then)

    def _file_sent(self, answer: FileAnswer, sent: "asyncio.Future[None]") -> None:
        if isinstance(sent.exception(), FileFailed):
            self._send_otherwise(answer)
            return
        answer.done(self.part_taken)
        self._resume(sent)

    def _send_otherwise(self, answer: FileAnswer) -> None:
        self._wait(asyncio.ensure_future(self._send_rest(answer, self.part_taken)), self._resume)

    async def _send_rest(self, answer: FileAnswer, count: int) -> None:
        """Send what the kernel could not read from the file in another way."""
        try:
            async with aclosing(answer.rest(count)) as pieces:
                async for piece in pieces:
                    await self.write(piece)
                    count += len(piece)
        except StreamClosedError:
            pass
        except FAILURES as failure:
            _LOG.warning("A transfer is cut short: %s", failure)
            self.close()
        except Exception:  # noqa: BLE001 - as for what Exchange sends
            # Whatever came next would be taken for the rest of this body.
            _LOG.exception("A transfer is cut short.")
            self.close()
        finally:
            answer.done(count)

    def _resume(self, _: "asyncio.Future[None]") -> None:
        self._answering = False
        self._go_on()

    def _hand_over(self, data: bytes) -> None:
        self._parsing = True
        self._read_buffer += data
        self._read_buffer_size += len(data)
        self._service.run(self._parse())

    async def _parse(self) -> None:
        again = await serve(self, self._service, self._address)
        self._parsing = False
        if not again:
            self.close()
            return
        # What was sent behind the request that Tornado answered.
        self._ahead = bytes(self._read_buffer)
        self._read_buffer.clear()
        self._read_buffer_size = 0
        self._go_on()

    def _go_on(self) -> None:
        if self.closed():
            return
        if self._ahead:
            data, self._ahead = self._ahead, b""
            self._look(data)
        if self.reading():
            self._add_io_state(self.io_loop.READ)
