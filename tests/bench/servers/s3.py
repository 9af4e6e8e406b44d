"""An S3 server with one bucket: Ceph's object gateway, which keeps everything in memory here."""

from collections.abc import Mapping

import pytest

from tests.bench.load.address import Address
from tests.bench.servers.server import NotAvailable, Server
from tests.servers.ceph import ENVIRONMENT, Ceph

GATEWAY = "Ceph"


class Gateway(Server):
    """The gateway by itself; what it is asked must be signed."""

    name = "S3 alone"
    bucket = "bench"
    environment: Mapping[str, str] = ENVIRONMENT

    def start(self) -> None:
        try:
            self._ceph = Ceph(self.setup.directory / "ceph")
        except pytest.skip.Exception as missing:
            raise NotAvailable(str(missing)) from missing
        self._ceph.start()
        self._ceph.make_bucket(self.bucket)

    def stop(self) -> None:
        self._ceph.stop()

    def pids(self) -> set[int]:
        return self._ceph.pids

    @property
    def address(self) -> Address:
        return Address.parse(self._ceph.host)

    @property
    def url(self) -> str:
        """Base URL of the endpoint."""
        return self._ceph.url
