"""A Redis server of one's own, from Debian's package; it keeps nothing over a restart."""

import shutil
import socket
import tempfile
from pathlib import Path

import pytest

from tests.servers.certificates import KeyPair
from tests.servers.ports import free_ports
from tests.servers.process import Process


class RedisServer:
    """A server on a free port of loopback, with a `pair` by TLS; skips the test where there is no program."""

    def __init__(self, pair: KeyPair | None = None) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("Redis is not on this machine: install Debian's redis-server")
        self._home = Path(tempfile.mkdtemp(prefix="penstock-redis-"))
        (self.port,) = free_ports(1)
        options = ["--bind", "127.0.0.1", "--port", self.port, "--save", "", "--dir", self._home]
        self._tls = pair is not None
        if pair is not None:
            options += ["--port", 0, "--tls-port", self.port, "--tls-auth-clients", "no"]
            options += ["--tls-cert-file", pair.certificate, "--tls-key-file", pair.key]
            options += ["--tls-ca-cert-file", pair.certificate]
        self.process = Process("redis", [program, *map(str, options)], log=self._home / "log")

    @property
    def url(self) -> str:
        """What PENSTOCK_REDIS_URL takes."""
        if self._tls:
            return f"rediss://127.0.0.1:{self.port}/0?ssl_cert_reqs=none"
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> "RedisServer":
        """Starts the server, also after a stop, and waits until it answers."""
        self.process.start()
        self.process.wait_ready(self._answers)
        return self

    def stop(self) -> None:
        """Ends the server and every connection at once: what it knew is gone."""
        if self.process.running:
            self.process.kill()

    def remove(self) -> None:
        """Stops, and deletes what is left."""
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                if self._tls:
                    return True
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
