"""Where a server listens, and how the load generator connects to it."""

import socket
import ssl
from dataclasses import dataclass

CONNECT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """A loopback address; with a context, connections speak TLS."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, text: str, tls: ssl.SSLContext | None = None) -> "Address":
        """Reads host:port."""
        host, _, port = text.rpartition(":")
        return cls(host, int(port), tls)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def connect(self, *, receive_buffer: int | None = None) -> socket.socket:
        """A blocking connection, TLS handshake done; `receive_buffer` in bytes, else as the kernel likes."""
        connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            if receive_buffer is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.settimeout(CONNECT_TIMEOUT)
            connection.connect((self.host, self.port))
            if self.tls is not None:
                return self.tls.wrap_socket(connection, server_hostname=self.host)
        except BaseException:
            connection.close()
            raise
        return connection
