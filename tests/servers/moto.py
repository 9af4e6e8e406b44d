"""moto's server as an S3 of one's own: quick, on a real socket; it checks no signature."""

import itertools
import sys
from pathlib import Path
from typing import Self

from tests.servers import http
from tests.servers.ports import free_ports
from tests.servers.process import Process

_numbers = itertools.count(1)

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "eu-central-1"}
"""What makes a client of it."""


class Moto:
    """One server process on a free port, with an empty memory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.host = f"127.0.0.1:{free_ports(1)[0]}"
        program = Path(sys.executable).with_name("moto_server")
        argv = [program, "-H", "127.0.0.1", "-p", self.host.partition(":")[2]]
        self._process = Process(f"moto {self.host}", argv, log=directory / "moto.log")

    @property
    def url(self) -> str:
        """Base URL of the endpoint."""
        return f"http://{self.host}"

    def new_bucket(self) -> str:
        """Makes a bucket, and gives its name."""
        name = f"bucket-{next(_numbers)}"
        assert http.request(self.host, "PUT", f"/{name}").status == 200
        return name

    def start(self) -> Self:
        self._process.start()
        self._process.wait_ready(lambda: http.answers(self.host, "/moto-api/", status=200))
        return self

    def stop(self) -> None:
        self._process.stop()
