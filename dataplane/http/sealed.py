"""A client's connection that is encrypted: all of it is Tornado's, and bodies are sent in chunks."""

import socket
import ssl
from typing import Any, Self

from tornado.iostream import SSLIOStream

from clients.process.tls import Identity
from dataplane.http.exchange import serve
from dataplane.http.service import Service


class SealedConnection(SSLIOStream):
    """Serves from `start` until either side closes it."""

    def __init__(self, connection: ssl.SSLSocket, address: str, service: Service) -> None:
        super().__init__(connection)
        self._address = address
        self._service = service
        self.stirred = False
        """See Watched."""

    @classmethod
    def accept(cls, connection: socket.socket, identity: Identity, address: str, service: Service) -> Self:
        """Make one of a connection that has said nothing yet; raises OSError where it is gone."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(identity.seal(connection), address, service)

    def start(self) -> None:
        """Begin to serve."""
        self._service.opened(self)
        self._service.run(self._serve())

    @property
    def resting(self) -> bool:
        """Never, for Watched: Tornado's parser has its own time-out, which counts the handshake as well."""
        return False

    @property
    def sending(self) -> bool:
        """See Watched."""
        return bool(self._write_buffer)

    @property
    def taken(self) -> int:
        """See Watched."""
        return self._total_write_done_index

    def set_nodelay(self, value: bool) -> None:
        """See IOStream; it is always on."""

    def close(self, exc_info: Any = False) -> None:
        """See IOStream."""
        self._service.closed(self)
        super().close(exc_info)

    async def _serve(self) -> None:
        while await serve(self, self._service, self._address):
            pass
        self.close()
