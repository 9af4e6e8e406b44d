"""Debian's docker-registry (CNCF Distribution), plain and as a proxy."""

from tests.bench.load.address import Address
from tests.bench.servers.server import Server, program
from tests.servers.ports import free_ports
from tests.servers.process import Process

_CONFIG = """\
version: 0.1
log:
  level: error
  accesslog: {{disabled: true}}
storage:
  filesystem: {{rootdirectory: {storage}}}
http:
  addr: {address}
{tls}
{proxy}
"""


class PlainRegistry(Server):
    """docker-registry that serves the site's own files."""

    name = "docker-registry"

    def start(self) -> None:
        directory, tls = self.setup.directory, self.setup.certificate
        (port,) = free_ports(1)
        self._address = Address("127.0.0.1", port, tls.context() if tls else None)
        config = directory / "registry.yml"
        config.write_text(
            _CONFIG.format(
                storage=self._storage(),
                address=self._address,
                tls=f"  tls: {{certificate: {tls.certificate}, key: {tls.key}}}" if tls else "",
                proxy=self._proxy(),
            )
        )
        binary = program("docker-registry", "docker-registry")
        self._process = Process(
            f"{self.name} {port}", [binary, "serve", config], log=directory / "registry.log"
        )
        self.start_process(self._process)
        self._process.wait_ready(self.accepts)

    def stop(self) -> None:
        self._process.stop()

    def pids(self) -> set[int]:
        return {self._process.pid}

    @property
    def address(self) -> Address:
        return self._address

    def _storage(self) -> str:
        return str(self.setup.site.storage)

    def _proxy(self) -> str:
        return ""


class ProxyRegistry(PlainRegistry):
    """docker-registry as a pull-through cache of the upstream, with a store of its own."""

    name = "docker-registry proxy"

    def _storage(self) -> str:
        return str(self.setup.directory / "storage")

    def _proxy(self) -> str:
        return f"proxy: {{remoteurl: http://{self.setup.upstream}}}"
