"""Tornado's HTTP server, which tells clients at once that it speaks no TLS."""

import contextlib
from typing import Any, Final

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

# The content type of a TLS record that carries a ClientHello (RFC 8446, section 5.1); no HTTP
# request begins with this byte.
_HANDSHAKE: Final = 0x16
_REFUSAL: Final = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 33\r\nConnection: close\r\n\r\n"
    b"This port speaks HTTP, not HTTPS\n"
)


class PlainServer(HTTPServer):
    """Hangs up on clients that begin with TLS, after an answer that they understand.

    Registry clients try https first where they were not told otherwise, and plain http when that is
    refused. Left to wait for the end of headers that never end, they come back after ten seconds.
    """

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """See HTTPServer."""
        # Nothing was read from it yet, so that the socket can be given to another one.
        watched = _Stream(stream.socket, self.max_buffer_size, self.read_chunk_size)
        super().handle_stream(watched, address)


class _Stream(IOStream):
    _begun = False

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        count = super().read_from_fd(buf)
        if count and not self._begun:
            self._begun = True
            if buf[0] == _HANDSHAKE:
                with contextlib.suppress(OSError):
                    self.socket.send(_REFUSAL)
                # As if the client had hung up: Tornado closes the connection.
                return 0
        return count
